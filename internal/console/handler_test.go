package console

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/admit"
	"ociproxy/internal/console/page"
	"ociproxy/internal/console/view"
)

// desk is a source and an explainer.
type desk struct {
	current atomic.Pointer[view.View]
	asked   atomic.Int32
	views   atomic.Int32
	hold    chan struct{} // explanations wait for it
}

func (d *desk) View(context.Context) (*view.View, error) {
	d.views.Add(1)
	if v := d.current.Load(); v != nil {
		return v, nil
	}
	return nil, errors.New("nothing\x1b known")
}

func (d *desk) Explain(ctx context.Context, q view.Question) (*view.Explanation, error) {
	d.asked.Add(1)
	if d.hold != nil {
		<-d.hold
	}
	if q.Address == "" {
		return nil, errors.New("no <address>")
	}
	if _, bounded := ctx.Deadline(); !bounded {
		return nil, errors.New("no time limit")
	}
	return &view.Explanation{Question: q, Answer: "307 va"}, nil
}

func (d *desk) set(names ...string) {
	v := &view.View{At: time.Unix(1, 0)}
	for _, n := range names {
		v.Candidates = append(v.Candidates, view.Candidate{Name: n, Kind: "store", State: view.Out})
	}
	v.Judge()
	d.current.Store(v)
}

// open serves a console the way the admin port does.
func open(t *testing.T) (*desk, *Handler, *httptest.Server) {
	t.Helper()
	d := &desk{}
	d.set("first-store")
	h := New(Options{Source: d, Explainer: d, Poll: 10 * time.Millisecond})
	pages := admit.NewPages("test")
	pages.Front("the console", h.Page)
	h.Pages(pages.Handle)
	srv := httptest.NewUnstartedServer(pages)
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = time.Second, time.Second // streams outlive both
	srv.Start()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; srv.Close() })
	return d, h, srv
}

func get(t *testing.T, address string, headers ...string) (*http.Response, string) {
	t.Helper()
	resp := ask(t, http.MethodGet, address, headers...)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func ask(t *testing.T, method, address string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

const browser, streams = "Accept: text/html,*/*", "Accept: text/event-stream"

// TestPage checks the page, its compressed form, its files, and the answers of the box without script.
func TestPage(t *testing.T) {
	d, _, srv := open(t)
	resp, body := get(t, srv.URL+"/", browser, "Accept-Encoding: identity")
	if resp.StatusCode != 200 || !strings.Contains(body, "first-store") || resp.Header.Get("Cache-Control") != "no-store" ||
		resp.Header.Get("Content-Security-Policy") == "" || !strings.Contains(resp.Header.Get("Vary"), "Accept-Encoding") {
		t.Errorf("%d %v\n%s", resp.StatusCode, resp.Header, body)
	}
	if _, text := get(t, srv.URL+"/", "Accept: */*"); !strings.HasPrefix(text, "test\n\nGET  /  the console\n") {
		t.Errorf("curl gets %.200s", text)
	}
	if _, text := get(t, srv.URL+"/-/", browser); !strings.Contains(text, "<td>the console") {
		t.Errorf("the list is not at /-/: %.200s", text)
	}
	resp, zipped := get(t, srv.URL+"/", browser, "Accept-Encoding: gzip")
	r, err := gzip.NewReader(strings.NewReader(zipped))
	if err != nil {
		t.Fatalf("%v, %v", resp.Header, err)
	}
	if plain, err := io.ReadAll(r); err != nil || string(plain) != body {
		t.Errorf("the compressed page differs: %v", err)
	}
	for _, path := range []string{page.StylePath, page.ScriptPath} {
		resp, file := get(t, srv.URL+"/"+path, "Accept-Encoding: identity")
		if resp.StatusCode != 200 || len(file) == 0 || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %d bytes", path, resp.StatusCode, len(file))
		}
	}
	for _, path := range []string{"/?ip=192.0.2.1", "/console/explain?ip=192.0.2.1"} {
		if _, body := get(t, srv.URL+path, browser); !strings.Contains(body, "307 va") {
			t.Errorf("%s: %s", path, body)
		}
	}
	if _, body := get(t, srv.URL+"/?host=x", browser); !strings.Contains(body, "no &lt;address&gt;") {
		t.Errorf("a fault: %s", body)
	}
	d.current.Store(nil)
	if resp, body := get(t, srv.URL+"/", browser); resp.StatusCode != 503 || strings.Contains(body, "\x1b") || resp.Header.Get("Refresh") != tryAgain {
		t.Errorf("without a view: %d %v %q", resp.StatusCode, resp.Header, body)
	}
}

// TestFewExplanationsAtOnce: questions cannot pile up.
func TestFewExplanationsAtOnce(t *testing.T) {
	d, _, srv := open(t)
	d.hold = make(chan struct{})
	answers := make(chan string)
	for range explanations {
		go func() {
			resp, err := http.Get(srv.URL + "/console/explain?ip=1")
			if err != nil {
				answers <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			answers <- string(body)
		}()
	}
	until(t, "all wait", func() bool { return d.asked.Load() == explanations })
	if _, body := get(t, srv.URL+"/console/explain?ip=1"); !strings.Contains(body, "try again") {
		t.Errorf("one more: %s", body)
	}
	close(d.hold)
	for range explanations {
		if body := <-answers; !strings.Contains(body, "307 va") {
			t.Error(body)
		}
	}
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); !is(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("a minute is over, and not: " + what)
		}
	}
}

// lines reads a stream in lines; it ends with the stream.
func lines(r io.Reader) <-chan string {
	out := make(chan string)
	go func() {
		defer close(out)
		for s := bufio.NewScanner(r); s.Scan(); {
			out <- s.Text()
		}
	}()
	return out
}

// follow reads until a line contains a text.
func follow(t *testing.T, from <-chan string, text string) string {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case line, ok := <-from:
			if !ok {
				t.Fatalf("the stream ended before %q", text)
			}
			if strings.Contains(line, text) {
				return line
			}
		case <-limit:
			t.Fatalf("no %q in a minute", text)
		}
	}
}

// TestStream: who looks gets everything first, then only what changed; the stream outlives the server's limits for
// requests, and ends when the server closes.
func TestStream(t *testing.T) {
	d, h, srv := open(t)
	resp := ask(t, http.MethodGet, srv.URL+"/console/events", streams)
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatal(kind)
	}
	from := lines(resp.Body)
	follow(t, from, "retry: 5000")
	follow(t, from, `"id":"headline"`)
	follow(t, from, "first-store")
	begun := time.Now()
	for i := 0; time.Since(begun) < 2*time.Second; i++ { // longer than the server's time-outs
		d.set(fmt.Sprint("store-", i, "-<b>"))
		line := follow(t, from, fmt.Sprint("store-", i, "-&lt;b&gt;"))
		if strings.Contains(line, `"id":"events"`) {
			t.Fatalf("what did not change was sent: %s", line)
		}
	}
	// A new view that looks like the last one is a sign of life all the same.
	d.set("idle")
	follow(t, from, "idle")
	d.set("idle")
	follow(t, from, "event: view")
	h.Close()
	for line := range from {
		t.Logf("at the end: %s", line)
	}
	until(t, "the place is free", func() bool { return h.viewers.count() == 0 })
}

// TestPlaces: at most 16 streams of an address and 32 in all; HEAD and refused requests take none, and a viewer who goes
// leaves its place.
func TestPlaces(t *testing.T) {
	_, h, srv := open(t)
	address := srv.Listener.Addr().String()
	look := func(from string, request string) (net.Conn, string) {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, request)
		status, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return conn, strings.TrimSpace(strings.TrimPrefix(status, "HTTP/1.1 "))
	}
	const stream = "GET /console/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
	for what, test := range map[string]struct{ request, want string }{
		"HEAD":           {"HEAD" + stream[3:], "200 OK"},
		"a WebSocket":    {strings.Replace(stream, "\r\n\r\n", "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 1), "400 Bad Request"},
		"a WebSocket, /": {"GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "400 Bad Request"},
		"a body":         {strings.Replace(stream, "\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx", 1), "400 Bad Request"},
		"an image":       {strings.Replace(stream, "text/event-stream", "image/*,*/*", 1), "406 Not Acceptable"},
		"POST":           {"POST" + strings.Replace(stream[3:], "\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n", 1), "405 Method Not Allowed"},
	} {
		if _, got := look("127.0.0.9", test.request); got != test.want {
			t.Errorf("%s: %s, want %s", what, got, test.want)
		}
		if n := h.viewers.count(); n != 0 {
			t.Errorf("%s took a place", what)
		}
	}
	var first net.Conn
	for i := range maxViewers + 5 {
		from := fmt.Sprint("127.0.0.", 10+i/maxViewersEach)
		conn, got := look(from, stream)
		if want := map[bool]string{true: "200 OK", false: "503 Service Unavailable"}[i < maxViewers]; got != want {
			t.Errorf("viewer %d: %s, want %s", i, got, want)
		}
		if first == nil {
			first = conn
		}
	}
	first.Close()
	until(t, "a place is free", func() bool { return h.viewers.count() == maxViewers-1 })
	if _, got := look("127.0.0.11", stream); !strings.HasPrefix(got, "503") {
		t.Errorf("the 17th of an address: %s", got)
	}
	if _, got := look("127.0.0.10", stream); got != "200 OK" {
		t.Errorf("in the free place: %s", got)
	}
}

// deaf is a connection whose reader never reads: a write waits for its deadline.
type deaf struct {
	head     http.Header
	deadline time.Time
}

func (d *deaf) Header() http.Header                 { return d.head }
func (d *deaf) WriteHeader(int)                     {}
func (d *deaf) SetWriteDeadline(at time.Time) error { d.deadline = at; return nil }
func (d *deaf) FlushError() error                   { return nil }
func (d *deaf) Write([]byte) (int, error) {
	if d.deadline.IsZero() {
		return 0, errors.New("this write would wait for ever")
	}
	return 0, context.DeadlineExceeded
}

// TestAViewerWhoDoesNotRead: each write has a deadline, and the viewer loses its place at it.
func TestAViewerWhoDoesNotRead(t *testing.T) {
	d := &desk{}
	d.set("x")
	h := New(Options{Source: d})
	rw := &deaf{head: http.Header{}}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/console/events", http.NoBody)
	req.Header.Set("Accept", "text/event-stream")
	h.events(rw, req) // returns
	if left := time.Until(rw.deadline); left <= 0 || left > writeTimeout {
		t.Errorf("the deadline is in %s", left)
	}
	if h.viewers.count() != 0 {
		t.Error("it kept its place")
	}
}

// TestNobodyLooks: while nobody looks, the source is not asked and nothing is rendered.
func TestNobodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		d.set("a")
		h := New(Options{Source: d})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		h.Run(ctx)
		if n := d.views.Load(); n != 0 || h.board.Load().version != 0 {
			t.Errorf("the source was asked %d times for nobody", n)
		}
		h = New(Options{Source: d})
		h.viewers.take("192.0.2.1")
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		h.Run(ctx)
		if d.views.Load() == 0 || h.board.Load().version != 1 {
			t.Error("the source was not asked for somebody")
		}
	})
}

// BenchmarkTick measures what a new view costs: once, and for each of the 32 viewers.
func BenchmarkTick(b *testing.B) {
	d := &desk{}
	h := New(Options{Source: d})
	names := make([]string, 20)
	for i := range names {
		names[i] = fmt.Sprint("store-", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		names[0] = fmt.Sprint("store-", i)
		d.set(names...)
		h.refresh(context.Background())
	}
}
