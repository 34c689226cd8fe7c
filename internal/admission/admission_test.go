package admission

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/config"
)

// Each check has a section on its page, which says that it is a warning when it is.
func TestChecksHaveSections(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(Page)))
	if err != nil {
		t.Fatal(err)
	}
	heading := regexp.MustCompile(`(?m)^### (.+)$`)
	sections, last := map[string]string{}, ""
	for _, part := range heading.Split(string(page), -1) {
		sections[last] = part
		if names := heading.FindAllStringSubmatch(string(page), -1); len(sections) <= len(names) {
			last = names[len(sections)-1][1]
		}
	}
	for _, c := range Checks() {
		text, ok := sections[c.ID]
		if !ok {
			t.Errorf("%s has no section for %s", Page, c.ID)
		}
		if warns := strings.Contains(text, "*Warning.*"); warns != (c.Worst == judge.Warning) {
			t.Errorf("%s is %s at worst, its section says warning: %v", c.ID, c.Worst, warns)
		}
	}
	if got := checkOf("live.range.past-end").Doc(); got != Page+"#live" {
		t.Errorf("the section of a check of check --live is %s", got)
	}
	if got := checkOf(idPastEnd).Doc(); got != Page+"#objectrangepast-end" {
		t.Errorf("the section of %s is %s", idPastEnd, got)
	}
}

// The bucket is found in the URL that clients get, and its list is asked for in the way of its service.
func TestBucketOf(t *testing.T) {
	const blobs = "containers/images/{digest}"
	for _, tt := range []struct {
		url, bucket  string
		service      service
		root, before string
		list         string // a part of one of the URLs
	}{
		{"https://b.s3.dualstack.us-east-1.amazonaws.com/" + blobs, "s3://b?region=us-east-1", s3Like, "", "/containers/images/", "amazonaws.com/?list-type=2"},
		{"https://s3.us-east-1.amazonaws.com/b/" + blobs, "", s3Like, "/b", "/containers/images/", "amazonaws.com/b/?list-type=2"},
		{"https://s3.cn-north-1.amazonaws.com.cn/b/" + blobs, "", s3Like, "/b", "/containers/images/", "/b/?list-type=2"},
		{"https://storage.googleapis.com/b/" + blobs, "gs://b", google, "/b", "/containers/images/", "https://storage.googleapis.com/storage/v1/b/b/o?"},
		{"https://b.storage.googleapis.com/" + blobs, "", google, "", "/containers/images/", "https://storage.googleapis.com/storage/v1/b/b/o?"},
		{"https://acc.blob.core.windows.net/c/" + blobs, "azblob://acc/c", azure, "/c", "/containers/images/", "windows.net/c?restype=container"},
		{"http://127.0.0.1:10000/acc/c/" + blobs, "azblob://acc/c", azure, "/acc/c", "/containers/images/", "10000/acc/c?restype=container"},
		{"http://127.0.0.1:9000/b/p/" + blobs, "s3://b/p?endpoint=http://127.0.0.1:9000", s3Like, "/b", "/p/containers/images/", "9000/b/?list-type=2"},
		{"https://cdn.example/" + blobs, "s3://b?region=us-east-1", s3Like, "", "/containers/images/", "cdn.example/?list-type=2"},
		{"https://cdn.example/" + blobs, "", unknown, "", "/containers/images/", "cdn.example/?restype=container"},
	} {
		b := bucketOf(&config.Store{URL: tt.url, Bucket: tt.bucket})
		if b.service != tt.service || b.root != tt.root || b.before != tt.before {
			t.Errorf("%s %s: service %q, root %q, before %q", tt.url, tt.bucket, b.service, b.root, b.before)
		}
		if all := strings.Join(b.lists(), " "); !strings.Contains(all, tt.list) {
			t.Errorf("%s: lists %s, want %s", tt.url, all, tt.list)
		}
	}
}

func TestShut(t *testing.T) {
	page := http.Header{"Content-Type": {"text/html"}}
	for _, tt := range []struct {
		ans  judge.Answer
		want judge.Result
	}{
		{judge.Answer{Status: 403}, judge.OK},
		{judge.Answer{Status: 404, Header: page}, judge.OK},
		{judge.Answer{Status: 400}, judge.OK},
		{judge.Answer{Status: 501}, judge.OK},
		{judge.Answer{Status: 200}, judge.Failed},
		{judge.Answer{Status: 204}, judge.Failed},
		{judge.Answer{Status: 200, Header: page}, judge.Failed},
		{judge.Answer{Status: 307, Location: &url.URL{Scheme: "https", Host: "elsewhere.example"}}, judge.Failed},
		{judge.Answer{Status: 503}, judge.Failed},
		{judge.Answer{Status: 429}, judge.Failed},
		{judge.Answer{Err: errSpent}, judge.Failed},
	} {
		if tt.ans.Header == nil {
			tt.ans.Header = http.Header{}
		}
		if v := shut(tt.ans, "a hint", "it"); v.Result != tt.want {
			t.Errorf("%d %v: %s, want %s", tt.ans.Status, tt.ans.Err, v.Result, tt.want)
		}
	}
}

// A server that refuses a write for lack of rights, and not a delete, may let anyone delete.
func TestShutDelete(t *testing.T) {
	for _, tt := range []struct {
		gone, put int
		want      judge.Result
	}{
		{404, 403, judge.Warning}, {404, 401, judge.Warning}, {404, 405, judge.Info}, {404, 404, judge.Info},
		{403, 403, judge.OK}, {405, 403, judge.OK}, {204, 403, judge.Failed}, {503, 403, judge.Failed},
	} {
		if v := shutDelete(judge.Answer{Status: tt.gone}, judge.Answer{Status: tt.put}); v.Result != tt.want {
			t.Errorf("%d after %d: %s, want %s", tt.gone, tt.put, v.Result, tt.want)
		}
	}
}

// A server that keeps what strangers write, and answers 503, is refused, and the object is removed.
func TestWritesBehindAFault(t *testing.T) {
	objects := sync.Map{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch q.Method {
		case http.MethodPut:
			objects.Store(q.URL.Path, true)
		case http.MethodDelete:
			objects.Delete(q.URL.Path)
		case http.MethodHead:
			if _, ok := objects.Load(q.URL.Path); ok {
				return
			}
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	opt := Options{Timeout: time.Minute}
	opt.defaults()
	r := &run{
		opt: &opt, store: config.Store{URL: server.URL + "/{digest}"}, client: server.Client(), rec: &Record{},
		meter: &meter{most: Cost{Requests: 100, Bytes: 1 << 20}}, asker: &judge.Asker{Client: server.Client(), Timeout: time.Minute},
	}
	if err := r.closed(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.rec.Findings {
		if f.Result != judge.Failed {
			t.Errorf("%s: %s: %s", f.Check, f.Result, f.Detail)
		}
	}
	objects.Range(func(name, _ any) bool { t.Errorf("%s is left behind", name); return true })
}

// A plan announces what its steps add up to.
func TestPlan(t *testing.T) {
	p := PlanOf(&config.Config{}, Options{Objects: 3, Bytes: 5 << 20, Within: time.Minute, Images: []string{"a", "b"}, Clients: []string{"crane"}})
	var requests int64
	for _, s := range p.Steps {
		requests += s.Requests
	}
	if p.Most != (Cost{requests, 5 << 20, 60}) || requests < 3*objectRequests+4*pullRequests {
		t.Errorf("%+v, its steps have %d requests", p.Most, requests)
	}
}

// The meter stops the run at its bounds, in the middle of a body if need be.
func TestMeter(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 1000))
	}))
	defer server.Close()
	for _, tt := range []struct {
		name   string
		most   Cost
		asks   int
		bytes  int64
		fails  bool
		server int64 // requests that count
	}{
		{"enough", Cost{Requests: 2, Bytes: 2000}, 2, 2000, false, 2},
		{"too few requests", Cost{Requests: 1, Bytes: 2000}, 2, 1000, true, 1},
		{"too few bytes", Cost{Requests: 9, Bytes: 1500}, 2, 1500, true, 2},
		{"no bytes left", Cost{Requests: 9, Bytes: 1000}, 2, 1000, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &meter{most: tt.most}
			client := &http.Client{Transport: m.wrap(http.DefaultTransport)}
			defer client.CloseIdleConnections()
			a := judge.Asker{Client: client, Timeout: time.Minute}
			var last judge.Answer
			for range tt.asks {
				last = a.Ask(t.Context(), judge.Query{Method: http.MethodGet, URL: server.URL, Max: 4096})
			}
			if m.bytes.Load() != tt.bytes || m.requests.Load() != tt.server || m.spent.Load() != tt.fails || (last.Err != nil) != tt.fails {
				t.Errorf("%d bytes, %d requests, spent %v, %v", m.bytes.Load(), m.requests.Load(), m.spent.Load(), last.Err)
			}
		})
	}
}
