package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
)

// running is a server on real listeners, from a configuration file.
type running struct {
	*testWorld
	file   string
	public string
	reload chan struct{}
	stop   context.CancelFunc
	done   chan error
}

func start(t *testing.T, file string, w *testWorld, edit ...string) *running {
	t.Helper()
	return startWith(t, file, w, func(*Server) {}, edit...)
}

func startWith(t *testing.T, file string, w *testWorld, tune func(*Server), edit ...string) *running {
	t.Helper()
	if err := os.WriteFile(file, []byte(w.config(edit...)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{File: file, Logger: slog.New(slog.NewJSONHandler(w.log, nil)), Client: &http.Client{Transport: &http.Transport{}}})
	if err != nil {
		t.Fatal(err)
	}
	tune(s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{testWorld: w, file: file, public: l.Addr().String(), reload: make(chan struct{}), stop: stop, done: make(chan error, 1)}
	w.server.Close()
	w.server = s
	go func() { r.done <- s.Serve(ctx, r.reload, l, nil) }()
	t.Cleanup(func() { stop(); r.wait(t) })
	return r
}

func (r *running) wait(t *testing.T) {
	select {
	case err := <-r.done:
		if err != nil {
			t.Error(err)
		}
		r.done <- nil
	case <-time.After(time.Minute):
		t.Fatal("the server does not end")
	}
}

func poll(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if wait.Until(ctx, 5*time.Millisecond, cond) != nil {
		t.Fatalf("not within a minute: %s", what)
	}
}

// status asks the running server over plain HTTP/1.
func (r *running) status(path string) int {
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr, CheckRedirect: outbound.NoRedirect}).Get("http://" + r.public + path)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

const denied = "/v2/fresh/manifests/v1"

func (r *running) write(t *testing.T, content string) {
	t.Helper()
	next := r.file + ".next"
	if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, r.file); err != nil {
		t.Fatal(err)
	}
}

func TestReloadOnFileChange(t *testing.T) {
	r := start(t, filepath.Join(t.TempDir(), "config.yaml"), newWorld(t))
	poll(t, "307 before", func() bool { return r.status(denied) == 307 })
	r.write(t, r.config("[secret]", "[secret, fresh]"))
	poll(t, "403 after the change", func() bool { return r.status(denied) == 403 })
	r.write(t, "version: 1\nnonsense: true\n")
	poll(t, "a report of the bad file", func() bool { return strings.Contains(r.log.String(), "configuration refused") })
	if got := r.status(denied); got != 403 {
		t.Errorf("%d after a bad file, want the old configuration", got)
	}
	r.write(t, r.config("serves: [internet]", "serves: [all]"))
	poll(t, "307 again", func() bool { return r.status(denied) == 307 })
	poll(t, "the places whose first choice changed, in the log", func() bool {
		return strings.Contains(r.log.String(), `"aws/af-south-1: eu → cdn"`) && strings.Contains(r.log.String(), `"candidates_changed":["cdn: serves"],"places_moved":`)
	})
}

func TestReloadOnSignal(t *testing.T) {
	r := start(t, filepath.Join(t.TempDir(), "config.yaml"), newWorld(t))
	poll(t, "serving", func() bool { return r.status("/-/live") == 200 })
	r.reload <- struct{}{}
	poll(t, "a reload", func() bool { return strings.Contains(r.log.String(), "configuration reloaded") })
}

// A neighbour that writes all the time must not delay a reload. A change before the watch began counts too.
func TestReloadWithABusyNeighbour(t *testing.T) {
	dir := t.TempDir()
	r := start(t, filepath.Join(dir, "config.yaml"), newWorld(t))
	poll(t, "307 before", func() bool { return r.status(denied) == 307 })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			_ = os.WriteFile(filepath.Join(dir, "neighbour.log"), []byte{byte(i)}, 0o600)
			<-tick.C
		}
	}()
	r.write(t, r.config("[secret]", "[fresh]"))
	poll(t, "403 after the change", func() bool { return r.status(denied) == 403 })
	stop()
	<-done
}

func TestAChangeBetweenLoadingAndWatchingCounts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	w := newWorld(t)
	if err := os.WriteFile(file, []byte(w.config()), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(w.config("[secret]", "[fresh]")), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, nil, l, nil) }()
	r := &running{public: l.Addr().String()}
	poll(t, "403 by the file that is there", func() bool { return r.status(denied) == 403 })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Kubernetes swaps a ConfigMap by renaming the symlink ..data.
func TestReloadOnSymlinkSwap(t *testing.T) {
	dir := t.TempDir()
	link := func(name, target string) {
		t.Helper()
		tmp := filepath.Join(dir, name+".tmp")
		if err := os.Symlink(target, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, v), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link("..data", "v1")
	link("config.yaml", "..data/config.yaml")
	w := newWorld(t)
	r := start(t, filepath.Join(dir, "config.yaml"), w)
	poll(t, "307 before", func() bool { return r.status(denied) == 307 })
	if err := os.WriteFile(filepath.Join(dir, "v2", "config.yaml"), []byte(w.config("[secret]", "[fresh]")), 0o600); err != nil {
		t.Fatal(err)
	}
	link("..data", "v2")
	poll(t, "403 after the swap", func() bool { return r.status(denied) == 403 })
}

func TestDrain(t *testing.T) {
	r := start(t, filepath.Join(t.TempDir(), "config.yaml"), newWorld(t), "drain: 0s", "drain: 1s")
	poll(t, "ready", func() bool { return r.status("/-/ready") == 200 })
	r.stop()
	poll(t, "not ready", func() bool { return r.status("/-/ready") == 503 })
	if got := r.status("/v2/"); got != 200 {
		t.Errorf("%d while draining, want 200: the load balancer needs time to notice", got)
	}
	r.wait(t)
	if got := r.status("/v2/"); got != 0 {
		t.Errorf("%d after the drain", got)
	}
}

// Fronts take a region away when its instances are not ready. All regions have the same stores and upstreams, so an
// instance that is not ready because of them would take all regions away together.
func TestReadyWhileUpstreamsAndStoresAreDown(t *testing.T) {
	r := start(t, filepath.Join(t.TempDir(), "config.yaml"), newWorld(t),
		"ranges:\n", "health: {interval: 1s, idleInterval: 1s}\nranges:\n")
	poll(t, "ready", func() bool { return r.status("/-/ready") == 200 })
	if got := r.status("/v2/a/blobs/" + digest); got != 307 { // health probes a store with what it is known to hold
		t.Fatalf("%d for a blob", got)
	}
	for _, o := range []*origin{r.us, r.eu, r.va, r.cdn} {
		o.CloseClientConnections()
		o.Close()
	}
	poll(t, "the server knows it", r.server.health.Frozen) // more than half of the candidates fail
	if got := r.status("/-/ready"); got != 200 {
		t.Errorf("/-/ready: %d while all candidates are down, want 200", got)
	}
}

func TestH2CByPriorKnowledge(t *testing.T) {
	r := start(t, filepath.Join(t.TempDir(), "config.yaml"), newWorld(t))
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p}
	defer tr.CloseIdleConnections()
	var proto string
	poll(t, "an answer", func() bool {
		resp, err := (&http.Client{Transport: tr}).Get("http://" + r.public + "/v2/")
		if err != nil {
			return false
		}
		resp.Body.Close()
		proto = resp.Proto
		return true
	})
	if proto != "HTTP/2.0" {
		t.Errorf("%s, want HTTP/2.0", proto)
	}
}

func TestPortOfTheEnvironment(t *testing.T) {
	for _, tt := range []struct{ listen, port, want string }{
		{":8080", "", ":8080"}, {":8080", "9999", ":9999"}, {"127.0.0.1:1", "9999", "127.0.0.1:9999"}, {"[::1]:1", "9999", "[::1]:9999"},
	} {
		if got, err := publicAddress(tt.listen, tt.port); err != nil || got != tt.want {
			t.Errorf("publicAddress(%q, %q) = %q, %v, want %q", tt.listen, tt.port, got, err, tt.want)
		}
	}
}

// serve runs the world's server on two ports of loopback until the test ends.
func (w *testWorld) serve(t *testing.T) (public, admin string) {
	t.Helper()
	var listeners [2]net.Listener
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i] = l
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(ctx, nil, listeners[0], listeners[1]) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listeners[0].Addr().String(), listeners[1].Addr().String()
}
