package registry

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// For any answer to a range request, the bytes that are read are the right ones, or there is an error.
func TestOpenBlob(t *testing.T) {
	const content = "0123456789"
	d := sum("sha256", []byte(content))
	partial := func(contentRange, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		off  int64
		want string // "" and an error
		err  error
	}{
		"whole":                   {h: text(content), want: content},
		"right":                   {h: partial("bytes 4-9/10", "456789"), off: 4, want: "456789"},
		"range ignored":           {h: text(content), off: 4, want: "456789"},
		"ignored, too short":      {h: text("012"), off: 4, err: ErrBadAnswer},
		"from elsewhere":          {h: partial("bytes 3-9/10", "3456789"), off: 4, err: ErrBadAnswer},
		"not to the end":          {h: partial("bytes 4-8/10", "45678"), off: 4, err: ErrBadAnswer},
		"unknown total":           {h: partial("bytes 4-9/*", "456789"), off: 4, err: ErrBadAnswer},
		"no range said":           {h: partial("", "456789"), off: 4, err: ErrBadAnswer},
		"backwards":               {h: partial("bytes 9-4/10", "456789"), off: 4, err: ErrBadAnswer},
		"lying length":            {h: partial("bytes 4-9/10", "4567"), off: 4, err: ErrBadAnswer},
		"unasked range":           {h: partial("bytes 0-4/10", "01234"), err: ErrBadAnswer},
		"packed":                  {h: text("x", "Content-Encoding", "gzip"), err: ErrBadAnswer},
		"missing":                 {h: http.NotFound, err: ErrNotFound},
		"denied":                  {h: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, err: ErrUnauthorized},
		"closed range only":       {h: closedRanges(content), off: 4, want: "456789"},
		"redirect to HTTP":        {h: redirect("http://storage.test/x"), err: ErrRedirect},
		"redirect to files":       {h: redirect("file:///etc/passwd"), err: ErrRedirect},
		"redirect for ever":       {h: redirect("https://registry.test/v2/app/blobs/" + d.String()), err: ErrRedirect},
		"redirect without a host": {h: redirect("https:///x"), err: ErrRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := openWorld(t, serve(map[string]http.HandlerFunc{"/v2/app/blobs/" + d.String(): c.h}))
			body, total, err := r.OpenBlob(t.Context(), "app", d, c.off)
			if c.err != nil {
				if !errors.Is(err, c.err) {
					t.Errorf("got %v, want %v", err, c.err)
				}
				return
			}
			if err != nil || total != int64(len(content)) {
				t.Fatalf("%d bytes, %v", total, err)
			}
			defer body.Close()
			if got, err := io.ReadAll(body); string(got) != c.want || err != nil {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// closedRanges refuses a range without an end.
func closedRanges(content string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.Header.Get("Range"), "-") {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		_, _ = io.WriteString(w, content)
	}
}

// A body that is cut off, on a real connection, is an error. Reading can continue where it ended. All slots are
// released.
func TestCutBody(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	cuts := 3
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v2/" {
			return
		}
		if cuts--; cuts < 0 {
			http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(content))
			return
		}
		off, _ := strconv.Atoi(strings.Trim(req.Header.Get("Range"), "bytes=-"))
		w.Header().Set("Content-Length", strconv.Itoa(len(content)-off))
		if off > 0 {
			w.Header().Set("Content-Range", "bytes "+strconv.Itoa(off)+"-"+strconv.Itoa(len(content)-1)+"/"+strconv.Itoa(len(content)))
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = w.Write(content[off : off+100_000])
	}))
	t.Cleanup(server.Close)
	r := open(t, server.URL, func(o *Options) { o.Budget = NewBudget(10_000, 1) })
	var got bytes.Buffer
	for round := 0; got.Len() < len(content); round++ {
		if round > 3 {
			t.Fatalf("%d bytes after %d rounds", got.Len(), round)
		}
		body, total, err := r.OpenBlob(t.Context(), "app", sum("sha256", content), int64(got.Len()))
		if err != nil || total != int64(len(content)) {
			t.Fatalf("%d, %v", total, err)
		}
		_, err = io.Copy(&got, body)
		body.Close()
		if round < 3 && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("round %d: %v", round, err)
		}
	}
	if !bytes.Equal(got.Bytes(), content) {
		t.Error("other bytes")
	}
	if len(r.budget.slots) != 0 || len(r.budget.streams) != 0 {
		t.Errorf("%d and %d places are still taken", len(r.budget.slots), len(r.budget.streams))
	}
}

// Bytes beyond the announced size are not returned with the blob.
func TestMoreThanAnnounced(t *testing.T) {
	b := &blob{body: io.NopCloser(strings.NewReader("0123456789")), left: 4, free: func() {}}
	if _, err := io.ReadAll(b); !errors.Is(err, ErrBadAnswer) {
		t.Error(err)
	}
}

// The bandwidth limit applies to all blobs together.
func TestBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := bytes.Repeat([]byte("x"), 100_000)
		d := sum("sha256", content)
		r, _ := openWorld(t, text(string(content)), func(o *Options) { o.Bandwidth = rate.NewLimiter(10_000, 1000) })
		start := time.Now()
		body, _, err := r.OpenBlob(t.Context(), "app", d, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		if n, err := io.Copy(io.Discard, body); n != 100_000 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if d := time.Since(start).Seconds(); d < 9.5 || d > 10.5 {
			t.Errorf("100 kB at 10 kB/s took %v s", d)
		}
	})
}

// The size is known even if storage accepts only GET because its URL is signed for that method.
func TestStatBlob(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"head":  text("0123456789", "Content-Length", "10"),
		"range": getOnly(true), "no ranges": getOnly(false),
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := openWorld(t, h)
			if size, err := r.StatBlob(t.Context(), "app", sum("sha256", nil)); size != 10 || err != nil {
				t.Errorf("%d, %v", size, err)
			}
		})
	}
	r, _ := openWorld(t, http.NotFound)
	if _, err := r.StatBlob(t.Context(), "app", sum("sha256", nil)); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func getOnly(ranges bool) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Host == "registry.test":
			redirect("https://storage.test/x")(w, req)
		case req.Method == http.MethodHead:
			w.WriteHeader(http.StatusForbidden)
		case ranges:
			http.ServeContent(w, req, "x", time.Time{}, strings.NewReader("0123456789"))
		default:
			_, _ = io.WriteString(w, "0123456789")
		}
	}
}
