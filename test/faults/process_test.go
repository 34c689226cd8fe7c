package faults

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// balancer is a load balancer that asks each instance every 100 ms whether it wants traffic.
type balancer struct {
	instances []*proxy.Proxy
	ready     []atomic.Bool
	next      atomic.Uint32
}

func newBalancer(t *testing.T, instances ...*proxy.Proxy) string {
	t.Helper()
	b := &balancer{instances: instances, ready: make([]atomic.Bool, len(instances))}
	done, stopped := make(chan struct{}), make(chan struct{})
	b.ask()
	go func() {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				b.ask()
			}
		}
	}()
	server := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
		r.SetURL(&url.URL{Scheme: "http", Host: b.choose()})
	}})
	t.Cleanup(func() {
		close(done)
		<-stopped
		server.Close()
	})
	return server.Listener.Addr().String()
}

func (b *balancer) ask() {
	var wg sync.WaitGroup
	for i, p := range b.instances {
		wg.Go(func() { b.ready[i].Store(parts.HTTP(p.URL("/-/ready"), http.StatusOK)() == nil) })
	}
	wg.Wait()
}

func (b *balancer) choose() string {
	first := int(b.next.Add(1)) // draw once: concurrent draws could repeat an instance
	for k := range b.instances {
		i := (first + k) % len(b.instances)
		if b.ready[i].Load() {
			return b.instances[i].Addr
		}
	}
	return b.instances[0].Addr
}

// pair starts two instances behind a balancer; w.proxy is the first.
func pair(t *testing.T, w *world) {
	t.Helper()
	w.start(t)
	second := w.config.With(proxy.Map{"listen": parts.FreeAddr(t), "admin": parts.FreeAddr(t)})
	second["ranges"] = proxy.Map(proxy.Config(w.config["ranges"].(proxy.Map)).With(proxy.Map{"cache": filepath.Join(t.TempDir(), "cache")}))
	w.front = newBalancer(t, w.proxy, proxy.Start(t, second))
}

// restartOnHeldSocket is a restart by a service manager that holds the socket. There is no load balancer and no drain.
func restartOnHeldSocket() fault {
	var sockets []*os.File
	start := func(t *testing.T, w *world) {
		w.proxy = proxy.Inherit(t, w.file, w.config, "clients", sockets)
	}
	return fault{
		name: "restart, systemd holds the socket", unnoticed: true,
		options: options{
			configure: func(_ *testing.T, _ *world, c proxy.Config) { c["limits"] = proxy.Map{"drain": "0s"} },
			start: func(t *testing.T, w *world) {
				sockets = []*os.File{parts.Hold(t, w.config["listen"].(string))}
				start(t, w)
			},
		},
		strike: func(t *testing.T, w *world) {
			w.proxy.Signal(t, syscall.SIGTERM)
			w.proxy.Wait(t, time.Minute)
			start(t, w)
		},
	}
}

func processFaults() []fault {
	return []fault{
		// The drain is longer than a load balancer on a busy machine needs to notice.
		{name: "SIGTERM under load", unnoticed: true, options: options{start: pair, configure: func(_ *testing.T, _ *world, c proxy.Config) {
			c["limits"] = proxy.Map{"drain": "8s"}
		}},
			strike: func(t *testing.T, w *world) { w.proxy.Signal(t, syscall.SIGTERM) },
			after: func(t *testing.T, w *world) {
				if code := w.proxy.Wait(t, time.Minute); code != 0 {
					t.Errorf("exit code %d", code)
				}
			}},
		restartOnHeldSocket(),
		{name: "SIGHUP storm", unnoticed: true,
			strike: func(t *testing.T, w *world) {
				// The file changes too, between two good contents.
				contents := []proxy.Config{w.without(), w.config}
				tick := time.NewTicker(5 * time.Millisecond)
				defer tick.Stop()
				end := time.Now().Add(5 * time.Second)
				for i := 0; time.Now().Before(end); i++ {
					if i%20 == 0 {
						contents[i/20%2].Write(t, w.file)
					}
					w.proxy.Signal(t, syscall.SIGHUP)
					<-tick.C
				}
				w.config.Write(t, w.file)
				w.proxy.Signal(t, syscall.SIGHUP)
			},
			sees: all(func(_ *world, m metrics) error {
				return m.want(20, infinite, "ociproxy_config_reloads_total", `result="ok"`)
			}, func(_ *world, m metrics) error {
				return m.want(1, 400, "go_goroutines")
			}, inService(storeUS), inService(replica))},
		// A request that was half read at the freeze has passed its read deadline when the process continues.
		{name: "CPU frozen for 30 s", lasts: 8 * time.Second,
			// Only the freeze may make a probe time out.
			options: options{configure: func(_ *testing.T, _ *world, c proxy.Config) { c["health"].(proxy.Map)["timeout"] = "30s" }},
			strike: func(t *testing.T, w *world) {
				w.proxy.Signal(t, syscall.SIGSTOP)
				frozen := time.NewTimer(30 * time.Second)
				<-frozen.C
				w.proxy.Signal(t, syscall.SIGCONT)
			},
			sees: func(w *world, m metrics) error {
				for name := range w.gates {
					if err := inService(name)(w, m); err != nil {
						return err
					}
				}
				return m.want(0, 0, "ociproxy_health_frozen")
			},
			after: func(t *testing.T, w *world) {
				for _, line := range w.proxy.Log(0) {
					if line["msg"] == "candidate ejected" {
						t.Errorf("ejected: %v", line)
					}
				}
			}},
		floodFault(),
	}
}

// resident returns a process's resident memory and its peak, in KiB.
func resident(pid int) (now, peak int, err error) {
	text, err := readStatus(pid)
	if err != nil {
		return 0, 0, err
	}
	_, err = fmt.Sscan(text["VmRSS"], &now)
	if err == nil {
		_, err = fmt.Sscan(text["VmHWM"], &peak)
	}
	return now, peak, err
}
