package store

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// cloud answers like all three services, and counts the write requests.
type cloud struct {
	mu      sync.Mutex
	content Content
	writes  int64
	written bool  // the object exists
	sent    int64 // bytes of a resumable upload
}

func (c *cloud) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Method == http.MethodPut || r.Method == http.MethodPost {
		c.writes++
	}
	rec := httptest.NewRecorder()
	switch {
	case r.Method == http.MethodHead:
		c.head(rec)
	case strings.HasPrefix(r.URL.Path, "/upload/"), strings.HasPrefix(r.URL.Path, "/storage/"):
		c.google(rec, r)
	case strings.HasPrefix(r.URL.Path, "/acct/"):
		c.written = r.URL.Query().Get("comp") != "block"
		created(rec, r)
	default:
		c.amazon(rec, r)
	}
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func (c *cloud) head(w http.ResponseWriter) {
	if !c.written {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	there(c.content.Size(), "0x8D")(w, nil)
}

func (c *cloud) amazon(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	w.Header().Set("ETag", `"e"`)
	switch {
	case q.Has("uploads"):
		_, _ = io.WriteString(w, `<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>`)
	case q.Has("partNumber") && r.Header.Get("X-Amz-Copy-Source") != "":
		_, _ = io.WriteString(w, `<CopyPartResult><ETag>"e"</ETag></CopyPartResult>`)
	case q.Has("partNumber"):
	case q.Has("uploadId"):
		c.written = true
		_, _ = io.WriteString(w, `<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>`)
	case r.Header.Get("X-Amz-Copy-Source") != "":
		c.written = true
		_, _ = io.WriteString(w, `<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>`)
	default:
		c.written = true
	}
}

func (c *cloud) google(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	resource := fmt.Sprintf(`{"name":"k","bucket":"b","generation":"1","size":"%d","crc32c":%q}`,
		c.content.Size(), crcText(c.content.CRC32C()))
	switch {
	case strings.Contains(r.URL.Path, "/rewriteTo/"):
		fmt.Fprintf(w, `{"done":true,"resource":%s}`, resource)
	case r.Method == http.MethodPost && r.URL.Query().Get("uploadType") == "resumable":
		w.Header().Set("Location", "http://gcs.invalid/upload/storage/v1/b/b/o?upload_id=1")
	case strings.HasSuffix(r.Header.Get("Content-Range"), "/*"):
		c.sent += r.ContentLength
		w.Header().Set("X-Http-Status-Code-Override", "308")
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", c.sent-1))
	default:
		_, _ = io.WriteString(w, resource)
	}
}

// buckets has one URL of each kind that uses a network.
var buckets = []string{
	"s3://b?region=us-east-1&endpoint=https://s3.invalid&pathStyle=true",
	"gs://b?endpoint=http://gcs.invalid",
	"azblob://acct/b?endpoint=https://azure.invalid/acct",
}

func (c *cloud) open(t *testing.T, url string) Bucket {
	t.Helper()
	b, err := Open(t.Context(), url, Options{Transport: c, Getenv: func(name string) string {
		return map[string]string{"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}[name] + azureEnv(name)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sized is a content that is never read.
type sized struct {
	Content
	size int64
}

func (s sized) Size() int64 { return s.size }

// Put makes as many requests as PutRequests says.
func TestPutRequests(t *testing.T) {
	for _, url := range buckets {
		for _, size := range []int64{
			0, 1, gcsChunk - 1, gcsChunk, gcsChunk + 1, azureSingle, azureSingle + 1,
			onePiece, onePiece + 1, 2 * minPart, 2*minPart + 1, // as are azureBlock and twice azureBlock
		} {
			c := &cloud{content: Bytes(make([]byte, size))}
			if _, err := c.open(t, url).Put(t.Context(), "k", c.content, BlobHeader, ""); err != nil {
				t.Errorf("%.3s, %d bytes: %v", url, size, err)
				continue
			}
			if want := PutRequests(url, size); c.writes != want {
				t.Errorf("%.3s, %d bytes: %d requests that write, it is said to be %d", url, size, c.writes, want)
			}
		}
	}
}

func TestCopyRequests(t *testing.T) {
	for _, url := range buckets {
		for _, size := range []int64{
			0, 1, azureCopySingle, azureCopySingle + 1, 2 * azureCopySingle, 2*azureCopySingle + 1,
			maxCopyWhole, maxCopyWhole + 1, maxCopyWhole + minCopyPart + 1,
		} {
			c := &cloud{content: sized{Bytes(nil), size}}
			to := c.open(t, url)
			from := Attrs{Key: "k", Size: size, Version: "1"}
			if _, err := to.(Copier).CopyFrom(t.Context(), "k", to, from, BlobHeader); err != nil {
				t.Errorf("%.3s, %d bytes: %v", url, size, err)
				continue
			}
			if want := CopyRequests(url, size); c.writes != want {
				t.Errorf("%.3s, %d bytes: %d requests that write, it is said to be %d", url, size, c.writes, want)
			}
		}
	}
}

// For sizes that no test can send: parts grow before there are too many of them.
func TestRequestsOfLargest(t *testing.T) {
	const mib, tib = 1 << 20, 1 << 40
	got := map[string][]int64{}
	for _, size := range []int64{9000 * 16 * mib, 9000*16*mib + 1, tib, 5 * tib} {
		for _, url := range append([]string{"file:///d", "nonsense"}, buckets...) {
			scheme, _, _ := strings.Cut(url, ":")
			got[scheme] = append(got[scheme], PutRequests(url, size))
			u := &upload{size: size}
			u.cut((&s3Bucket{partSize: minPart}).partSizeOf(size))
			if n := int64(len(u.etags)) + 2; scheme == "s3" && PutRequests(url, size) != n {
				t.Errorf("%d bytes are cut into %d parts, it is said to take %d requests", size, n-2, PutRequests(url, size))
			}
		}
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"azblob":[9001,9001,9001,9001],"file":[0,0,0,0],"gs":[36002,36002,262146,1310722],` +
		`"nonsense":[0,0,0,0],"s3":[9002,8473,8965,8995]}`
	if string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
}
