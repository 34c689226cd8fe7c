package store

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// azureEnv returns the variables of an environment with a key.
func azureEnv(name string) string {
	return map[string]string{"AZURE_STORAGE_KEY": "c2VjcmV0"}[name]
}

// azureCode answers with an error of the service.
func azureCode(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Ms-Error-Code", text)
		w.WriteHeader(code)
	}
}

// created answers a successful write.
func created(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("ETag", `"0x8D"`)
	w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 17:00:00 GMT")
	w.WriteHeader(http.StatusCreated)
}

// there answers a successful HEAD.
func there(size int64, tag string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"`+tag+`"`)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 17:00:00 GMT")
	}
}

func TestAzureKey(t *testing.T) {
	env := map[string]string{"AZURE_STORAGE_KEY": "general", "AZURE_STORAGE_KEY_SECOND": "second's"}
	get := func(name string) string { return env[name] }
	for _, c := range []struct{ account, of, want string }{
		{"first", "", "general"},
		{"second", "", "second's"},
		{"first", "first", "general"},
		{"first", "third", ""},
		{"second", "third", "second's"},
	} {
		env["AZURE_STORAGE_ACCOUNT"] = c.of
		if got := azureKey(get, c.account); got != c.want {
			t.Errorf("key of %s when AZURE_STORAGE_ACCOUNT is %q: %q, want %q", c.account, c.of, got, c.want)
		}
	}
}

func TestAzureNames(t *testing.T) {
	for text, want := range map[string]string{
		"azblob://acct/blobs":                                  "azblob://acct/blobs",
		"azblob://acct/blobs/a/b/":                             "azblob://acct/blobs/a/b",
		"azblob://acct/blobs?endpoint=http://127.0.0.1:1/acct": "azblob://acct/blobs",
		"azblob://acct":                                        "error",
		"azblob:///blobs":                                      "error",
		"azblob://acct/blobs/a/../b":                           "error",
		"azblob://acct/blobs?sas=x":                            "error",
	} {
		b, err := Open(t.Context(), text, Options{Getenv: azureEnv})
		got := "error"
		if err == nil {
			got = b.String()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// The account is the owner. Check refuses another owner without a request.
func TestAzureOwner(t *testing.T) {
	s := &script{}
	err := scripted(t, s, "azblob://acct/blobs?endpoint=%s/acct", Options{Owner: "other", Getenv: azureEnv}).Check(t.Context(), "probe/")
	if !errors.Is(err, ErrUnfit) || len(s.seen) != 0 {
		t.Errorf("%v after %q, want ErrUnfit", err, s.seen)
	}
}

// Every error of the service fits on one line.
func TestAzureFailures(t *testing.T) {
	for _, c := range []struct {
		code    int
		text    string
		version string
		want    error
	}{
		{404, "BlobNotFound", "", ErrNotFound},
		{404, "BlobNotFound", "0x1", ErrConflict},
		{404, "ContainerNotFound", "", ErrUnfit},
		{409, "BlobAlreadyExists", "", ErrExists},
		{412, "ConditionNotMet", "", ErrExists},
		{412, "ConditionNotMet", "0x1", ErrConflict},
		{412, "LeaseIdMissing", "", ErrDenied},
		{409, "BlobImmutableDueToPolicy", "0x1", ErrDenied},
		{403, "AuthenticationFailed", "", ErrDenied},
	} {
		s := &script{answers: map[string][]http.HandlerFunc{"PUT /acct/blobs/k": {azureCode(c.code, c.text)}}}
		_, err := scripted(t, s, "azblob://acct/blobs?endpoint=%s/acct", Options{Getenv: azureEnv}).
			Put(t.Context(), "k", Bytes([]byte("x")), BlobHeader, c.version)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), fmt.Sprint(c.code, " ", c.text)) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%d %s: %v, want %v", c.code, c.text, err, c.want)
		}
	}
}

// A commit by another writer discards our blocks. Then the object exists, or Put sends everything again.
func TestAzureLostBlocks(t *testing.T) {
	content := Bytes(make([]byte, azureSingle+1))
	gone := azureCode(http.StatusBadRequest, "InvalidBlockList")
	for _, c := range []struct {
		name    string
		head    http.HandlerFunc
		version string
		second  http.HandlerFunc // answer to the second commit
		want    error
		commits int
	}{
		{"somebody made it", there(5, "0x1"), "", created, ErrExists, 1},
		{"somebody changed it", there(5, "0x2"), "0x1", created, ErrConflict, 1},
		{"somebody removed it", azureCode(404, "BlobNotFound"), "0x1", created, ErrConflict, 1},
		{"sent again", azureCode(404, "BlobNotFound"), "", created, nil, 2},
		{"sent again, to replace", there(5, "0x1"), "0x1", created, nil, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var commits int
			s := &script{answers: map[string][]http.HandlerFunc{
				"HEAD /acct/blobs/k": {c.head},
				"PUT /acct/blobs/k": {func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Query().Get("comp") == "blocklist" {
						if commits++; commits == 1 {
							gone(w, r)
							return
						}
						c.second(w, r)
						return
					}
					created(w, r)
				}},
			}}
			b := scripted(t, s, "azblob://acct/blobs?endpoint=%s/acct", Options{Getenv: azureEnv})
			got, err := b.Put(t.Context(), "k", content, BlobHeader, c.version)
			if !errors.Is(err, c.want) || commits != c.commits || c.want == nil && got.Version != "0x8D" {
				t.Errorf("%+v, %v after %d commits, want %v after %d", got, err, commits, c.want, c.commits)
			}
		})
	}
}

func TestAzureCopy(t *testing.T) {
	for _, c := range []struct {
		name   string
		size   int64
		answer http.HandlerFunc
		want   error
		writes int
	}{
		{"at once", azureCopySingle, created, nil, 1},
		{"in blocks", azureCopySingle + 1, created, nil, 3},
		{"exists", 5, azureCode(409, "BlobAlreadyExists"), ErrExists, 1},
		{"source changed", 5, azureCode(412, "SourceConditionNotMet"), ErrConflict, 1},
		{"source may not be read", 5, azureCode(403, "CannotVerifyCopySource"), ErrCannotCopy, 1},
		{"not offered", 5, azureCode(501, "NotImplemented"), ErrCannotCopy, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &script{answers: map[string][]http.HandlerFunc{
				"HEAD /acct/blobs/k": {there(c.size, "0x8D")},
				"PUT /acct/blobs/k":  {c.answer},
			}}
			to := scripted(t, s, "azblob://acct/blobs?endpoint=%s/acct", Options{Getenv: azureEnv, Parallel: 1})
			service := strings.TrimSuffix(to.(*azure).container.URL(), "/acct/blobs")
			src, err := Open(t.Context(), "azblob://from/blobs/deep?endpoint="+service+"/from", Options{Getenv: azureEnv})
			if err != nil {
				t.Fatal(err)
			}
			_, err = to.(Copier).CopyFrom(t.Context(), "k", src, Attrs{Key: "k", Size: c.size, Version: "0x7"}, BlobHeader)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			var writes int
			for i, request := range s.seen {
				if !strings.HasPrefix(request, "PUT ") {
					continue
				}
				h := s.headers[i]
				writes++
				if strings.Contains(request, "comp=blocklist") || !strings.Contains(request, "comp=") {
					if h.Get("If-None-Match") != "*" || h.Get("X-Ms-Blob-Cache-Control") != BlobHeader.CacheControl {
						t.Errorf("%s: headers %v", request, h)
					}
				}
				if strings.Contains(request, "comp=blocklist") {
					continue
				}
				source, err := url.Parse(h.Get("X-Ms-Copy-Source"))
				if err != nil {
					t.Fatal(err)
				}
				if source.Path != "/from/blobs/deep/k" || source.Query().Get("sig") == "" || source.Query().Get("sp") != "r" ||
					h.Get("X-Ms-Source-If-Match") != `"0x7"` {
					t.Errorf("%s: headers %v", request, h)
				}
			}
			if writes != c.writes {
				t.Errorf("requests %q, want %d writes", s.seen, c.writes)
			}
		})
	}
}
