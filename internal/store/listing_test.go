package store

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listedBy is a kind of service with scripted lists.
type listedBy struct {
	url, begin string // of the bucket; of the requests
	env        map[string]string
	// page makes an answer from objects and the token of the next page.
	page func(objects []listedObject, next string) http.HandlerFunc
	// others are answers with a good status that are no list of this bucket.
	others map[string]string
}

type listedObject struct {
	key  string
	size int64
}

func s3Answer(inner string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprintf(w, `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>%s</ListBucketResult>`, inner)
	}
}

func s3Objects(objects []listedObject) string {
	var s strings.Builder
	for _, o := range objects {
		fmt.Fprintf(&s, `<Contents><Key>%s</Key><Size>%d</Size><ETag>"e"</ETag><LastModified>2026-11-22T17:00:00.000Z</LastModified></Contents>`, o.key, o.size)
	}
	return s.String()
}

var listers = map[string]listedBy{
	"s3": {url: "s3://b?region=us-east-1&pathStyle=true&endpoint=%s", begin: "GET /b",
		env: map[string]string{"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"},
		page: func(objects []listedObject, next string) http.HandlerFunc {
			more := "<IsTruncated>false</IsTruncated>"
			if next != "" {
				more = "<IsTruncated>true</IsTruncated><NextContinuationToken>" + next + "</NextContinuationToken>"
			}
			return s3Answer(more + s3Objects(objects))
		},
		others: map[string]string{
			"an error":       `<?xml version="1.0"?><Error><Code>InternalError</Code></Error>`,
			"a web page":     `<html><body>hello</body></html>`,
			"another bucket": `<ListBucketResult><Name>c</Name><IsTruncated>false</IsTruncated>` + s3Objects([]listedObject{{"p/a", 1}}) + `</ListBucketResult>`,
			"another, empty": `<ListBucketResult><Name>c</Name><IsTruncated>false</IsTruncated></ListBucketResult>`,
			"cut off":        `<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>` + s3Objects([]listedObject{{"p/a", 1}}),
			"cut off early":  `<ListBucketResult><Na`,
		}},
	"gs": {url: "gs://b?endpoint=%s", begin: "GET /storage/v1/b/b/o",
		page: func(objects []listedObject, next string) http.HandlerFunc {
			var items []string
			for _, o := range objects {
				items = append(items, fmt.Sprintf(`{"bucket":"b","name":%q,"size":"%d","generation":"1"}`, o.key, uint64(o.size)))
			}
			return object(`{"kind":"storage#objects","items":[%s],"nextPageToken":%q}`, strings.Join(items, ","), next)
		},
		others: map[string]string{
			"nothing":        `{}`,
			"an error":       `{"error":{"code":500,"message":"backend error"}}`,
			"a web page":     `<html><body>hello</body></html>`,
			"no text":        ``,
			"another kind":   `{"kind":"storage#buckets","items":[]}`,
			"another bucket": `{"kind":"storage#objects","items":[{"bucket":"c","name":"p/a","size":"1","generation":"1"}]}`,
			"cut off":        `{"kind":"storage#objects","items":[{"bucket":"b","name":"p/a","size":"1","generation":"1"}`,
			"cut off early":  `{"ki`,
		}},
	"azblob": {url: "azblob://acct/b?endpoint=%s", begin: "GET /b", env: map[string]string{"AZURE_STORAGE_KEY": "c2VjcmV0"},
		page: func(objects []listedObject, next string) http.HandlerFunc {
			var s strings.Builder
			for _, o := range objects {
				fmt.Fprintf(&s, `<Blob><Name>%s</Name><Properties><Content-Length>%d</Content-Length><Etag>e</Etag></Properties></Blob>`, o.key, o.size)
			}
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/xml")
				fmt.Fprintf(w, `<?xml version="1.0"?><EnumerationResults><Blobs>%s</Blobs><NextMarker>%s</NextMarker></EnumerationResults>`, s.String(), next)
			}
		},
		others: map[string]string{
			"nothing":        `<EnumerationResults></EnumerationResults>`,
			"an error":       `<?xml version="1.0"?><Error><Code>InternalError</Code></Error>`,
			"a web page":     `<html><body>hello</body></html>`,
			"no text":        ``,
			"another bucket": `<EnumerationResults ContainerName="c"><Blobs></Blobs><NextMarker/></EnumerationResults>`,
			"cut off":        `<EnumerationResults ContainerName="b"><Blobs><Blob><Name>p/a</Name>`,
			"cut off early":  `<EnumerationRes`,
		}},
}

func (l listedBy) open(t *testing.T, answers ...http.HandlerFunc) Bucket {
	return scripted(t, &script{answers: map[string][]http.HandlerFunc{l.begin: answers}}, l.url, Options{Getenv: func(name string) string { return l.env[name] }})
}

// keysOf reads a list to its end or to its first error.
func keysOf(t *testing.T, b Bucket, prefix, after string) (keys []string, err error) {
	t.Helper()
	for a, err := range b.List(t.Context(), prefix, after) {
		if err != nil {
			return keys, err
		}
		keys = append(keys, a.Key)
		if len(keys) > 5000 {
			t.Fatal("the list does not end")
		}
	}
	return keys, nil
}

// A list that cannot be true is refused, for every kind of service, before anyone draws a conclusion from it.
func TestListingRefused(t *testing.T) {
	for name, l := range listers {
		for what, answers := range map[string][]http.HandlerFunc{
			"out of order":              {l.page([]listedObject{{"p/b", 1}, {"p/a", 1}}, "")},
			"out of order over pages":   {l.page([]listedObject{{"p/b", 1}}, "t"), l.page([]listedObject{{"p/a", 1}}, "")},
			"twice":                     {l.page([]listedObject{{"p/a", 1}, {"p/a", 1}}, "")},
			"the same page again":       {l.page([]listedObject{{"p/a", 1}}, "t")},
			"the same empty page again": {l.page(nil, "t")},
			"outside the prefix":        {l.page([]listedObject{{"p/a", 1}, {"q/a", 1}}, "")},
			"encoded, not declared":     {l.page([]listedObject{{"p%2Fa", 1}}, "")},
			"negative size":             {l.page([]listedObject{{"p/a", -1}}, "")},
			"absurd size":               {l.page([]listedObject{{"p/a", 1 << 60}}, "")},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				keys, err := keysOf(t, l.open(t, answers...), "p/", "")
				if !errors.Is(err, ErrListing) || !strings.Contains(err.Error(), "list p/ of "+name) {
					t.Errorf("%q, error %v", keys, err)
				}
			})
		}
	}
}

// An answer with a good status that is no list of this bucket does not count as an empty bucket. The error says what it
// is.
func TestNoList(t *testing.T) {
	for name, l := range listers {
		for what, text := range l.others {
			t.Run(name+"/"+what, func(t *testing.T) {
				keys, err := keysOf(t, l.open(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", map[bool]string{true: "application/json", false: "application/xml"}[name == "gs"])
					_, _ = io.WriteString(w, text)
				}), "p/", "")
				if len(keys) > 0 || !errors.Is(err, ErrListing) || !strings.Contains(err.Error(), "list ") || !strings.Contains(err.Error(), name) ||
					strings.Contains(err.Error(), "200") || strings.Contains(err.Error(), "\n") {
					t.Errorf("%q, error %v", keys, err)
				}
				if err != nil && strings.Contains(what, "cut off") != strings.Contains(err.Error(), "cut off") {
					t.Errorf("%v: cut off %v", err, strings.Contains(what, "cut off"))
				}
				if err != nil && strings.HasPrefix(what, "another b") && (!strings.Contains(err.Error(), `"c"`) || !strings.Contains(err.Error(), `"b"`)) {
					t.Errorf("%v: want both names", err)
				}
			})
		}
	}
}

// A list of empty pages with ever new tokens does not go on forever.
func TestListingEndless(t *testing.T) {
	for name, l := range listers {
		t.Run(name, func(t *testing.T) {
			n := 0
			b := l.open(t, func(w http.ResponseWriter, r *http.Request) {
				n++
				l.page(nil, fmt.Sprint("t", n))(w, r)
			})
			if _, err := keysOf(t, b, "p/", ""); !errors.Is(err, ErrListing) || n < 100 || n > 2000 {
				t.Errorf("%d pages, error %v", n, err)
			}
		})
	}
}

// If a service begins elsewhere than requested, it lists more, but nothing wrong.
func TestListingIgnoresStart(t *testing.T) {
	for name, l := range listers {
		t.Run(name, func(t *testing.T) {
			b := l.open(t, l.page([]listedObject{{"p/a", 1}, {"p/b", 1}}, "t"), l.page([]listedObject{{"p/c", 0}}, ""))
			keys, err := keysOf(t, b, "p/", "p/a")
			if diff := cmp.Diff([]string{"p/b", "p/c"}, keys); diff != "" || err != nil {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// These cases exist only in lists of S3.
func TestListingS3(t *testing.T) {
	l := listers["s3"]
	one := s3Objects([]listedObject{{"p/a", 1}})
	for what, c := range map[string]struct {
		page string
		keys []string
	}{
		"encoded, unasked":          {"<EncodingType>url</EncodingType>" + s3Objects([]listedObject{{"p%2Fsha256%3Aa", 1}, {"p%2Fz+%2B", 1}}), []string{"p/sha256:a", "p/z +"}},
		"encoded in vain":           {"<EncodingType>url</EncodingType>" + s3Objects([]listedObject{{"p%2", 1}}), nil},
		"encoded as nobody knows":   {"<EncodingType>base64</EncodingType>" + one, nil},
		"more, without a token":     {"<IsTruncated>true</IsTruncated>" + one, nil},
		"no more, with a token":     {"<IsTruncated>false</IsTruncated><NextContinuationToken>t</NextContinuationToken>" + one, nil},
		"fewer than said":           {"<KeyCount>2</KeyCount>" + one, nil},
		"put together":              {one + "<CommonPrefixes><Prefix>p/q/</Prefix></CommonPrefixes>", nil},
		"no size":                   {"<Contents><Key>p/a</Key></Contents>", nil},
		"nothing said but the keys": {one, []string{"p/a"}},
	} {
		t.Run(what, func(t *testing.T) {
			keys, err := keysOf(t, l.open(t, s3Answer(c.page)), "p/", "")
			if c.keys == nil && !errors.Is(err, ErrListing) {
				t.Errorf("%q, error %v", keys, err)
			}
			if diff := cmp.Diff(c.keys, keys); c.keys != nil && (diff != "" || err != nil) {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// An answer that is no list is not an empty bucket: a web page, an empty body, or an error with the status of a
// success.
func TestListingOfNothing(t *testing.T) {
	l := listers["s3"]
	for _, body := range []string{"<html><body>welcome</body></html>", "", "<Error><Code>InternalError</Code></Error>", "<ListBucketResult/>"} {
		keys, err := keysOf(t, l.open(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }), "p/", "")
		if !errors.Is(err, ErrListing) {
			t.Errorf("%q: %q, error %v", body, keys, err)
		}
	}
}

// Clean does not abort uploads of others if a server ignores the prefix.
func TestCleanLeavesOthers(t *testing.T) {
	upload := `<Upload><Key>others/a</Key><UploadId>u</UploadId><Initiated>2020-01-01T00:00:00.000Z</Initiated></Upload>`
	s := &script{answers: map[string][]http.HandlerFunc{"GET /b": {func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>`+upload+`</ListMultipartUploadsResult>`)
	}}, "DELETE /b": {status(http.StatusNoContent)}}}
	l := listers["s3"]
	b := scripted(t, s, l.url, Options{Getenv: func(name string) string { return l.env[name] }})
	n, err := b.(Cleaner).Clean(t.Context(), "p/", 0)
	if n != 0 || !errors.Is(err, ErrListing) {
		t.Errorf("aborted %d, error %v", n, err)
	}
	for _, request := range s.seen {
		if strings.HasPrefix(request, "DELETE") {
			t.Error(request)
		}
	}
}

// The list of a directory has the objects that can be read by key: it follows links, and leaves out what is not a file.
// A directory that does not exist, for example because it is not mounted, does not count as empty.
func TestListingFiles(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	b := &files{dir: dir}
	for _, err := range []error{
		os.Mkdir(filepath.Join(other, "deep"), 0o755), os.WriteFile(filepath.Join(other, "deep", "x"), []byte("x"), 0o644),
		os.WriteFile(filepath.Join(dir, "c"), []byte("c"), 0o644),
		os.Symlink(filepath.Join(other, "deep"), filepath.Join(dir, "a")),
		os.Symlink(other, filepath.Join(other, "deep", "y")), os.Symlink(dir, filepath.Join(dir, "b")),
		os.Symlink("nowhere", filepath.Join(dir, "d")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := keysOf(t, b, "", "")
	if diff := cmp.Diff([]string{"a/x", "c"}, keys); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	for _, key := range keys {
		if _, err := b.Head(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	gone := &files{dir: filepath.Join(dir, "gone")}
	if keys, err := keysOf(t, gone, "", ""); !errors.Is(err, ErrUnfit) {
		t.Errorf("%q, error %v", keys, err)
	}
}
