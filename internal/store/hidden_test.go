package store

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/oci"
)

// headers answers HEAD for an object of ten bytes.
func headers(more ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Length", "10")
		w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 17:00:00 GMT")
		for i := 0; i < len(more); i += 2 {
			w.Header().Set(more[i], more[i+1])
		}
	}
}

func xmlError(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
	}
}

func (l listedBy) with(t *testing.T, s *script) Bucket {
	return scripted(t, s, l.url, Options{Getenv: func(name string) string { return l.env[name] }})
}

// TestAltered tests what attributes show about an object that clients would not get unchanged.
func TestAltered(t *testing.T) {
	text := Header{ContentType: "text/html; charset=utf-8", CacheControl: "public, max-age=60"}
	kept := text
	kept.CacheControl = BlobHeader.CacheControl
	for want, attrs := range map[string][]Attrs{
		"": {{}, {Header: BlobHeader}, {ContentEncoding: "identity"}, {Header: kept}, {Header: Header{ContentType: "application/gzip"}},
			{Header: Header{ContentType: "binary/octet-stream"}}, {Header: Header{ContentType: "application/vnd.oci.image.layer.v1.tar+gzip"}}},
		"Content-Encoding: gzip":        {{ContentEncoding: "gzip"}, {ContentEncoding: "identity, gzip", Header: BlobHeader}},
		"Content-Encoding: aws-chunked": {{ContentEncoding: "aws-chunked"}},
		"Content-Type: ":                {{Header: text}, {Header: Header{ContentType: "application/json"}}, {Header: Header{ContentType: "image/svg+xml"}}},
		"of a kind":                     {{Hidden: "of a kind", ContentEncoding: "gzip"}},
	} {
		for _, a := range attrs {
			if got := a.Altered(); got == "" && want != "" || want == "" && got != "" || !strings.HasPrefix(got, want) {
				t.Errorf("%+v: %q, want %q", a, got, want)
			}
		}
	}
}

// TestHiddenS3 tests what Amazon reports about objects that cannot be read, in HEAD and in a list.
func TestHiddenS3(t *testing.T) {
	l := listers["s3"]
	list := func(class string) http.HandlerFunc {
		return s3Answer(`<Contents><Key>k</Key><Size>10</Size><ETag>"e"</ETag><StorageClass>` + class + `</StorageClass></Contents>`)
	}
	sse := xmlError(http.StatusBadRequest, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct parameters must be provided.")
	for what, c := range map[string]struct {
		head, get http.HandlerFunc // get answers for the object; list for the bucket
		list      string           // storage class in the list
		want      string           // in Altered
	}{
		"standard":        {headers(), nil, "STANDARD", ""},
		"instant":         {headers("X-Amz-Storage-Class", "GLACIER_IR"), nil, "GLACIER_IR", ""},
		"glacier":         {headers("X-Amz-Storage-Class", "GLACIER"), nil, "GLACIER", "GLACIER"},
		"restored":        {headers("X-Amz-Storage-Class", "DEEP_ARCHIVE", "X-Amz-Restore", `ongoing-request="false"`), nil, "DEEP_ARCHIVE", "DEEP_ARCHIVE"},
		"tiered":          {headers("X-Amz-Storage-Class", "INTELLIGENT_TIERING", "X-Amz-Archive-Status", "ARCHIVE_ACCESS"), nil, "", "ARCHIVE_ACCESS"},
		"redirect":        {headers("X-Amz-Website-Redirect-Location", "/elsewhere"), nil, "", "another page"},
		"customer's key":  {status(http.StatusBadRequest), sse, "", "customer's key"},
		"expired session": {status(http.StatusBadRequest), xmlError(http.StatusBadRequest, "ExpiredToken", "The provided token has expired."), "", "error"},
	} {
		t.Run(what, func(t *testing.T) {
			s := &script{answers: map[string][]http.HandlerFunc{"HEAD /b/k": {c.head}, "GET /b": {func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/b/k" {
					c.get(w, r)
				} else {
					list(c.list)(w, r)
				}
			}}}}
			b := l.with(t, s)
			a, err := b.Head(t.Context(), "k")
			if c.want == "error" {
				if err == nil {
					t.Errorf("%+v", a)
				}
				return
			}
			if err != nil || (a.Altered() != "") != (c.want != "") || !strings.Contains(a.Altered(), c.want) || a.Size != 10 || a.Version != `"e"` {
				t.Errorf("%+v, %v", a, err)
			}
			for a, err := range b.List(t.Context(), "", "") {
				if err != nil || c.list != "" && (a.Altered() != "") != (c.want != "") {
					t.Errorf("listed %+v, %v", a, err)
				}
			}
		})
	}
}

// TestHiddenAzure tests the same for Azure.
func TestHiddenAzure(t *testing.T) {
	l := listers["azblob"]
	list := func(properties string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			fmt.Fprintf(w, `<?xml version="1.0"?><EnumerationResults><Blobs><Blob><Name>k</Name><Properties><Content-Length>10</Content-Length>`+
				`<Etag>e</Etag>%s</Properties></Blob></Blobs><NextMarker/></EnumerationResults>`, properties)
		}
	}
	for what, c := range map[string]struct {
		head http.HandlerFunc
		list string
		want string
	}{
		"cool":           {headers("X-Ms-Access-Tier", "Cool"), "<AccessTier>Cool</AccessTier>", ""},
		"archive":        {headers("X-Ms-Access-Tier", "Archive"), "<AccessTier>Archive</AccessTier>", "Archive"},
		"on the way out": {headers("X-Ms-Access-Tier", "Archive", "X-Ms-Archive-Status", "rehydrate-pending-to-hot"), "<ArchiveStatus>rehydrate-pending-to-hot</ArchiveStatus>", "rehydrate"},
		"encoded":        {headers("Content-Encoding", "gzip"), "<Content-Encoding>gzip</Content-Encoding>", "gzip"},
		"customer's key": {azureCode(http.StatusConflict, "BlobUsesCustomerSpecifiedEncryption"), "<CustomerProvidedKeySha256>x</CustomerProvidedKeySha256>", "customer's key"},
	} {
		t.Run(what, func(t *testing.T) {
			b := l.with(t, &script{answers: map[string][]http.HandlerFunc{"HEAD /b/k": {c.head}, "GET /b": {list(c.list)}}})
			a, err := b.Head(t.Context(), "k")
			if err != nil || (a.Altered() != "") != (c.want != "") || !strings.Contains(a.Altered(), c.want) || a.Size != 10 || a.Version != "e" {
				t.Errorf("%+v, %v", a, err)
			}
			for a, err := range b.List(t.Context(), "", "") {
				if err != nil || (a.Altered() != "") != (c.want != "") {
					t.Errorf("listed %+v, %v", a, err)
				}
			}
		})
	}
}

// TestHiddenGCS tests the same for Google. Its archive class can be read at once.
func TestHiddenGCS(t *testing.T) {
	l := listers["gs"]
	for what, c := range map[string]struct{ more, want string }{
		"archive":        {`,"storageClass":"ARCHIVE"`, ""},
		"encoded":        {`,"contentEncoding":"gzip"`, "gzip"},
		"customer's key": {`,"customerEncryption":{"encryptionAlgorithm":"AES256","keySha256":"x"}`, "customer's key"},
	} {
		t.Run(what, func(t *testing.T) {
			o := `{"bucket":"b","name":"k","size":"10","generation":"1"` + c.more + `}`
			b := l.with(t, &script{answers: map[string][]http.HandlerFunc{"GET /storage/v1/b/b/o": {func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/k") {
					object("%s", o)(w, r)
				} else {
					object(`{"kind":"storage#objects","items":[%s]}`, o)(w, r)
				}
			}}}})
			a, err := b.Head(t.Context(), "k")
			if err != nil || (a.Altered() != "") != (c.want != "") || !strings.Contains(a.Altered(), c.want) || a.Size != 10 {
				t.Errorf("%+v, %v", a, err)
			}
			for a, err := range b.List(t.Context(), "", "") {
				if err != nil || (a.Altered() != "") != (c.want != "") {
					t.Errorf("listed %+v, %v", a, err)
				}
			}
		})
	}
}

// TestReplace: an archived object that cannot be overwritten is removed first; no other object is removed.
func TestReplace(t *testing.T) {
	l := listers["azblob"]
	busy := azureCode(http.StatusConflict, "BlobArchived")
	for what, c := range map[string]struct {
		tier   string
		put    []http.HandlerFunc
		remove http.HandlerFunc
		want   []string
		fails  error
	}{
		"in an archive":              {"Archive", []http.HandlerFunc{busy, created}, status(http.StatusAccepted), []string{"PUT", "HEAD", "DELETE", "PUT"}, nil},
		"in an archive, no right to": {"Archive", []http.HandlerFunc{busy}, azureCode(http.StatusForbidden, "AuthorizationPermissionMismatch"), []string{"PUT", "HEAD", "DELETE"}, ErrHidden},
		"in the open":                {"Hot", []http.HandlerFunc{created}, nil, []string{"PUT"}, nil},
		"changed":                    {"Hot", []http.HandlerFunc{azureCode(http.StatusPreconditionFailed, "ConditionNotMet")}, nil, []string{"PUT"}, ErrConflict},
	} {
		t.Run(what, func(t *testing.T) {
			s := &script{answers: map[string][]http.HandlerFunc{"HEAD /b/k": {headers("X-Ms-Access-Tier", c.tier)}, "PUT /b/k": c.put, "DELETE /b/k": {c.remove}}}
			_, err := Replace(t.Context(), l.with(t, s), "k", Bytes([]byte("x")), BlobHeader, "e")
			if !errors.Is(err, c.fails) {
				t.Errorf("error %v, want %v", err, c.fails)
			}
			var got []string
			for _, request := range s.seen {
				got = append(got, strings.Fields(request)[0])
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestAzureCopiesNoProperties: by default, the service copies the properties of the source, including its encoding.
func TestAzureCopiesNoProperties(t *testing.T) {
	l := listers["azblob"]
	s := &script{answers: map[string][]http.HandlerFunc{"PUT /b/k": {created}, "HEAD /b/k": {there(10, "0x8D")}}}
	b := l.with(t, s)
	if _, err := b.(Copier).CopyFrom(t.Context(), "k", b, Attrs{Key: "from", Size: 10, Version: "0x7"}, BlobHeader); err != nil && !errors.Is(err, ErrCannotCopy) {
		t.Fatal(err)
	}
	if got := s.headers[0].Get("X-Ms-Copy-Source-Blob-Properties"); got != "false" {
		t.Errorf("asked with %v", s.headers[0])
	}
}

// TestPublic tests what an answer to an anonymous client shows about a blob of ten bytes.
func TestPublic(t *testing.T) {
	d, err := oci.ParseDigest("sha256:" + strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	const silent = "no verdict"
	for what, c := range map[string]struct {
		answer http.HandlerFunc
		want   string // in the error
	}{
		"as it is":           {headers(), ""},
		"identity":           {headers("Content-Encoding", "identity"), ""},
		"encoded":            {headers("Content-Encoding", "gzip"), "Content-Encoding: gzip"},
		"unpacked by Google": {headers("X-Goog-Stored-Content-Encoding", "gzip"), "Content-Encoding: gzip"},
		"private":            {status(http.StatusForbidden), "403"},
		"absent":             {status(http.StatusNotFound), "404"},
		"redirected":         {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "302"},
		"another size":       {headers("Content-Length", "11"), "11 bytes, the bucket has 10"},
		"compressed for who takes it": {func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				w.Header().Set("Content-Encoding", "gzip")
			}
		}, "Content-Encoding: gzip"},
		"no HEAD": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			w.Header().Set("Content-Range", "bytes 0-0/10")
			w.WriteHeader(http.StatusPartialContent)
		}, ""},
		"no length": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w.Header().Set("Content-Range", "bytes 0-0/12")
				w.WriteHeader(http.StatusPartialContent)
			}
		}, "12 bytes, the bucket has 10"},
		"no length at all": {func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, "does not tell its size"},
		"busy":             {status(http.StatusServiceUnavailable), silent},
	} {
		t.Run(what, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			t.Cleanup(server.Close)
			client := PublicClient(1)
			t.Cleanup(client.CloseIdleConnections)
			public := Public{URL: server.URL + "/{digest}", Client: client}
			err := public.Look(t.Context(), d, 10)
			switch {
			case c.want == "" && err != nil, c.want == silent && (err == nil || errors.Is(err, ErrHidden)):
				t.Error(err)
			case c.want != "" && c.want != silent && (!errors.Is(err, ErrHidden) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
