package rollups

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/appendblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/logsource"
	"ociproxy/internal/store"
	"ociproxy/internal/traffic"
	"ociproxy/test/azure"
	"ociproxy/test/gcs"
	"ociproxy/test/s3"
)

// logBucket is a real bucket with logs as its provider names and stores them.
type logBucket struct {
	url    string
	env    map[string]string
	name   func(traffic.Day, int) string // of a log
	put    func(t *testing.T, name, encoding string, body []byte)
	listed func(*http.Request) bool // is it the request for a page of a list?
	denied map[string]string        // an environment with the wrong key; nil: the emulator takes any
}

var logBuckets = map[string]func(*testing.T) *logBucket{
	"s3": func(t *testing.T) *logBucket {
		s := s3.Start(t, "us-east-1")
		s.Make(t, "logs")
		return &logBucket{
			url: "s3://logs/prod?region=us-east-1&pathStyle=true&endpoint=http://" + s.Backend(),
			env: map[string]string{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret"},
			name: func(d traffic.Day, i int) string {
				return fmt.Sprintf("123456789012/us-east-1/blobs/%s/%s-0%d-15-22-8F0E", strings.ReplaceAll(d.String(), "-", "/"), d, i)
			},
			put: func(t *testing.T, name, encoding string, body []byte) {
				bucket, key := "logs", "prod/"+name
				in := &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}
				if encoding != "" {
					in.ContentEncoding = &encoding
				}
				if _, err := s.Client().PutObject(t.Context(), in); err != nil {
					t.Fatal(err)
				}
			},
			listed: func(r *http.Request) bool { return r.URL.Query().Get("list-type") == "2" },
			denied: map[string]string{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "wrong"},
		}
	},
	"gcs": func(t *testing.T) *logBucket {
		s := gcs.Start(t, "us-central1")
		s.Make(t, "logs")
		return &logBucket{
			url: strings.Replace(s.BucketURL("logs"), "logs", "logs/prod", 1),
			name: func(d traffic.Day, i int) string {
				return fmt.Sprintf("blobs_usage_%s_0%d_00_00_1702a_v0", strings.ReplaceAll(d.String(), "-", "_"), i)
			},
			put:    func(t *testing.T, name, encoding string, body []byte) { putGCS(t, s.URL, "prod/"+name, encoding, body) },
			listed: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/b/logs/o") },
		}
	},
	"azure": func(t *testing.T) *logBucket {
		s := azure.Start(t)
		s.Make(t, "logs")
		key, err := container.NewSharedKeyCredential(azure.Account, azure.Key)
		if err != nil {
			t.Fatal(err)
		}
		client, err := container.NewClientWithSharedKeyCredential(s.URL+"/logs", key, nil)
		if err != nil {
			t.Fatal(err)
		}
		return &logBucket{
			url: strings.Replace(s.BucketURL("logs"), "/logs", "/logs/prod", 1),
			env: map[string]string{"AZURE_STORAGE_KEY": azure.Key},
			name: func(d traffic.Day, i int) string {
				return "resourceId=/subscriptions/0F/blobServices/default/" + d.Time().Format("y=2006/m=01/d=02") + fmt.Sprintf("/h=0%d/m=00/PT1H.json", i)
			},
			put: func(t *testing.T, name, encoding string, body []byte) { // as Azure does: in an append blob
				b := client.NewAppendBlobClient("prod/" + name)
				options := &appendblob.CreateOptions{}
				if encoding != "" {
					options.HTTPHeaders = &blob.HTTPHeaders{BlobContentEncoding: &encoding}
				}
				if _, err := b.Create(t.Context(), options); err != nil {
					t.Fatal(err)
				}
				if _, err := b.AppendBlock(t.Context(), nopCloser{bytes.NewReader(body)}, nil); err != nil {
					t.Fatal(err)
				}
			},
			listed: func(r *http.Request) bool { return r.URL.Query().Get("comp") == "list" },
			denied: map[string]string{"AZURE_STORAGE_KEY": "c2VjcmV0"},
		}
	},
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// putGCS uploads an object with a Content-Encoding, which [store.Bucket] never sets.
func putGCS(t *testing.T, url, name, encoding string, body []byte) {
	t.Helper()
	var text bytes.Buffer
	w := multipart.NewWriter(&text)
	about, err := json.Marshal(map[string]string{"name": name, "contentEncoding": encoding})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		kind string
		body []byte
	}{{"application/json", about}, {"text/csv", body}} {
		p, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {part.kind}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(part.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/upload/storage/v1/b/logs/o?uploadType=multipart", &text)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "multipart/related; boundary="+w.Boundary())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("upload %s: %s", name, resp.Status)
	}
}

// tap sees the requests for pages of a list, and stops bodies on demand.
type tap struct {
	next    http.RoundTripper
	listed  func(*http.Request) bool
	pages   atomic.Int32
	before  func(page int32) // a page is requested
	stopped atomic.Bool
	stall   atomic.Int32 // so many bodies of objects stop: the first after a byte, the others before it
}

func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.listed(r) {
		if n := p.pages.Add(1); p.before != nil {
			p.before(n)
		}
		if strings.HasSuffix(r.URL.Path, "/b/logs/o") { // of Google, where no signature covers the query
			r = r.Clone(r.Context())
			query := r.URL.Query()
			query.Set("maxResults", "7")
			r.URL.RawQuery = query.Encode()
		}
		return p.next.RoundTrip(r)
	}
	resp, err := p.next.RoundTrip(r)
	if err == nil && p.stall.Load() > 0 {
		resp.Body = &stopping{ReadCloser: resp.Body, begins: !p.stopped.Swap(true), ended: r.Context().Done()}
		p.stall.Add(-1)
	}
	return resp, err
}

type stopping struct {
	io.ReadCloser
	begins bool // it has a byte before it stops
	ended  <-chan struct{}
}

func (s *stopping) Read(p []byte) (int, error) {
	if s.begins {
		s.begins = false
		return s.ReadCloser.Read(p[:1])
	}
	<-s.ended
	return 0, context.Canceled
}

func (b *logBucket) open(t *testing.T, env map[string]string, through *tap, limit time.Duration) *logsource.Source {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	t.Cleanup(transport.CloseIdleConnections)
	through.next, through.listed = transport, b.listed
	s, err := logsource.Parse(t.Context(), b.url, logsource.Options{Store: store.Options{
		Getenv: func(key string) string { return env[key] }, Transport: through, Timeout: limit}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func listLogs(t *testing.T, s *logsource.Source, days logsource.Days) (out []*logsource.Object) {
	t.Helper()
	for o, err := range s.List(t.Context(), days) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

func readLog(t *testing.T, o *logsource.Object) (string, *logsource.Object, error) {
	t.Helper()
	in, as, err := o.Open(t.Context(), nil)
	if err != nil {
		return "", nil, err
	}
	text, err := io.ReadAll(in)
	return string(text), as, errors.Join(err, in.Close())
}

// TestSources lists and reads logs in real buckets: by days, in pages, compressed, while they change, and when the bucket
// refuses or stops answering.
func TestSources(t *testing.T) {
	t.Parallel()
	for kind, start := range logBuckets {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			const plain = "one line of a log\n"
			days := logsource.Days{Begin: firstDay, End: firstDay + 3}
			var want []string
			for d := firstDay - 10; d < firstDay+10; d++ {
				b.put(t, b.name(d, 0), "", []byte(plain))
				if days.Has(d) {
					b.put(t, b.name(d, 1), "", []byte(plain))
					want = append(want, b.name(d, 0), b.name(d, 1))
				}
			}
			b.put(t, "no-day.log", "", []byte(plain))
			want = append(want, "no-day.log")
			slices.Sort(want)
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			if _, err := io.WriteString(z, plain); err != nil || z.Close() != nil {
				t.Fatal(err)
			}
			b.put(t, b.name(firstDay, 1), "gzip", packed.Bytes())

			through := &tap{}
			s := b.open(t, b.env, through, 0)
			found := listLogs(t, s, days)
			names := make([]string, len(found))
			for i, o := range found {
				names[i] = o.Name
				text, as, err := readLog(t, o)
				if text != plain || err != nil {
					t.Errorf("%s: %q, %v", o, text, err)
				} else if as.Version != o.Version || as.Size != o.Size {
					t.Errorf("%s is listed as %s, %d bytes, and read as %s, %d bytes", o, o.Version, o.Size, as.Version, as.Size)
				}
				if o.Name == b.name(firstDay, 1) && o.Size != int64(packed.Len()) {
					t.Errorf("%s: %d bytes, stored are %d", o, o.Size, packed.Len())
				}
			}
			if diff := cmp.Diff(want, names); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := through.pages.Load(); n > 6 { // for 24 logs, with at most 7 in a page of Google's
				t.Errorf("%d pages were listed", n)
			}

			t.Run("changes", func(t *testing.T) {
				old := found[0]
				b.put(t, old.Name, "", []byte(plain+plain)) // it has grown since
				text, as, err := readLog(t, old)
				if text != plain+plain || err != nil || as.Version == old.Version || as.Size != int64(len(text)) {
					t.Errorf("%q, %+v, %v", text, as, err)
				}
				missing := *old
				missing.Name += "-gone"
				if _, _, err := readLog(t, &missing); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), missing.String()) {
					t.Errorf("a log that is gone: %v", err)
				}
				// Logs arrive before and behind what is being listed: the old ones are there all the same, once.
				through := &tap{}
				through.before = func(page int32) {
					b.put(t, b.name(firstDay-11, int(page)), "", []byte(plain))
					b.put(t, b.name(firstDay+10, int(page)), "", []byte(plain))
				}
				got := map[string]int{}
				for _, o := range listLogs(t, b.open(t, b.env, through, 0), logsource.Days{}) {
					got[o.Name]++
				}
				for d := firstDay - 10; d < firstDay+10; d++ {
					if n := got[b.name(d, 0)]; n != 1 {
						t.Errorf("%s is listed %d times", b.name(d, 0), n)
					}
				}
			})
			t.Run("denied", func(t *testing.T) {
				if b.denied == nil {
					t.Skip("the emulator checks no credentials")
				}
				for _, err := range b.open(t, b.denied, &tap{}, 0).List(t.Context(), days) {
					if !errors.Is(err, store.ErrDenied) || !strings.Contains(err.Error(), "list the logs in ") {
						t.Errorf("%v", err)
					}
					return
				}
				t.Error("the list is empty")
			})
			t.Run("stalls", func(t *testing.T) {
				for stalls, ends := range map[int32]bool{1: false, 1000: true} {
					through := &tap{}
					o := listLogs(t, b.open(t, b.env, through, 200*time.Millisecond), days)[0]
					through.stall.Store(stalls)
					text, _, err := readLog(t, o)
					switch {
					case !ends && (err != nil || text != plain+plain):
						t.Errorf("it is not read on where it stopped: %q, %v", text, err)
					case ends && (err == nil || errors.Is(err, logsource.ErrDamaged)):
						t.Errorf("%q, %v", text, err)
					}
				}
			})
		})
	}
}
