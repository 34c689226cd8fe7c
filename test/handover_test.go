package test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// crowd has clients that ask all the time: some open a new connection each time, some keep theirs.
type crowd struct {
	answers, lost atomic.Int64
	protocols     sync.Map // of the answers

	mu    sync.Mutex
	first error // the first that a client got

	stop context.CancelFunc
	done sync.WaitGroup
}

// asked has the paths that clients ask for, and the status of each.
var asked = map[string]int{
	"/v2/":                                 http.StatusOK,
	"/v2/library/app/manifests/v1":         http.StatusTemporaryRedirect,
	"/v2/library/app/tags/list?n=nonsense": http.StatusBadRequest,
}

// ask starts n clients of each kind that ask base. The clients repeat no request. net/http repeats one on a kept
// connection, when the server closed it before the first byte of the answer, as RFC 9110 §9.2.2 allows. It never does
// so on a new connection.
func ask(t *testing.T, base string, pool *x509.CertPool, n int) *crowd {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &crowd{stop: stop}
	one, two := new(http.Protocols), new(http.Protocols)
	one.SetHTTP1(true)
	two.SetHTTP2(true)
	two.SetUnencryptedHTTP2(true)
	for _, kind := range []struct {
		protocols *http.Protocols
		fresh     bool
	}{{one, true}, {one, false}, {two, false}} {
		for range n {
			transport := &http.Transport{
				DisableKeepAlives: kind.fresh, Protocols: kind.protocols,
				TLSClientConfig: &tls.Config{RootCAs: pool},
			}
			client := &http.Client{Transport: transport, CheckRedirect: outbound.NoRedirect, Timeout: time.Minute}
			c.done.Go(func() {
				defer transport.CloseIdleConnections()
				for ctx.Err() == nil {
					for path, status := range asked {
						c.count(ctx, client, base+path, status)
					}
				}
			})
		}
	}
	t.Cleanup(c.end)
	return c
}

func (c *crowd) count(ctx context.Context, client *http.Client, url string, status int) {
	resp, err := client.Get(url)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != status {
			err = fmt.Errorf("%s: %s, want %d", url, resp.Status, status)
		}
	}
	if err == nil {
		c.answers.Add(1)
		c.protocols.Store(resp.Proto, true)
		return
	}
	c.lost.Add(1)
	c.mu.Lock()
	if c.first == nil {
		c.first = err
	}
	c.mu.Unlock()
	_ = wait.For(ctx, 5*time.Millisecond)
}

func (c *crowd) end() {
	c.stop()
	c.done.Wait()
}

// more waits until the clients have received 300 more answers.
func (c *crowd) more(t *testing.T) {
	t.Helper()
	want := c.answers.Load() + 300
	parts.Poll(t, time.Minute, "answers", func() error {
		if got := c.answers.Load(); got < want {
			return fmt.Errorf("%d answers, want %d", got, want)
		}
		return nil
	})
}

// TestRestartLosesNothing: a restart refused connections before for as long as it took (118 in 2.5 s), and closed some
// that it had accepted without an answer. Now another process holds the socket, and every request of every client gets
// its answer: over new and kept connections, HTTP/1 and HTTP/2, with and without TLS, with and without a drain.
func TestRestartLosesNothing(t *testing.T) {
	const restarts = 3
	for what, tt := range map[string]struct {
		drain  string
		secure bool
		held   bool
	}{
		"held":             {"0s", false, true},
		"held, TLS":        {"0s", true, true},
		"held, with drain": {"1s", false, true},
		"held by no one":   {"0s", false, false},
	} {
		t.Run(what, func(t *testing.T) {
			config := lone("https://example.org/").With(proxy.Map{"limits": proxy.Map{"drain": tt.drain}}).Defaults(t)
			base := "http://" + config["listen"].(string)
			dir := t.TempDir()
			var pool *x509.CertPool
			if tt.secure {
				base = "https://" + config["listen"].(string)
				cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
				pool = issue(t, cert, key, 1)
				config["tls"] = proxy.Map{"cert": cert, "key": key}
			}
			file := filepath.Join(dir, "config.yaml")
			config.Write(t, file)
			start := func() *proxy.Proxy { return proxy.StartFile(t, file, config) }
			if tt.held {
				socket := parts.Hold(t, config["listen"].(string))
				start = func() *proxy.Proxy { return proxy.Inherit(t, file, config, "clients", []*os.File{socket}) }
			}
			p := start()
			c := ask(t, base, pool, 8)
			for range restarts {
				c.more(t)
				p.Signal(t, syscall.SIGTERM)
				if code := p.Wait(t, 30*time.Second); code != 0 {
					t.Errorf("exit code %d", code)
				}
				p = start()
			}
			c.more(t)
			c.end()
			t.Logf("%d restarts under load: %d answers, %d requests lost", restarts, c.answers.Load(), c.lost.Load())
			if tt.held && c.lost.Load() > 0 {
				t.Errorf("%d requests lost, the first: %v", c.lost.Load(), c.first)
			}
			if !tt.held && c.lost.Load() == 0 {
				t.Error("a restart without a held socket lost nothing: is there any load?")
			}
			for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
				if _, ok := c.protocols.Load(proto); !ok {
					t.Errorf("no answer by %s", proto)
				}
			}
		})
	}
}

// TestSocketActivate: the program takes the sockets of the real systemd-socket-activate, for clients and operators,
// instead of those of the config. It says which it uses.
func TestSocketActivate(t *testing.T) {
	program := parts.Find(t, "systemd-socket-activate")
	config := lone("https://example.org/").Defaults(t)
	public, admin := parts.FreeAddr(t), parts.FreeAddr(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	config.Write(t, file)
	p := parts.Start(t, parts.Spec{
		Path: program, Args: []string{"-l", admin, "-l", public, "--fdname=admin:clients", proxy.Binary(t), "serve", "--config", file},
		Ready: parts.HTTP("http://"+public+"/-/ready", http.StatusOK), Abrupt: true,
	})
	if err := parts.HTTP("http://"+admin+"/metrics", http.StatusOK)(); err != nil {
		t.Error(err)
	}
	for _, addr := range []string{config["listen"].(string), config["admin"].(string)} {
		if parts.Dial("tcp", addr)() == nil {
			t.Errorf("it listens on %s of the config too", addr)
		}
	}
	for _, want := range []string{
		`"port":"public","address":"` + public + `","key":"listen","config":"` + config["listen"].(string),
		`"port":"admin","address":"` + admin + `","key":"admin.listen","config":"` + config["admin"].(string),
	} {
		if !strings.Contains(p.Output.String(), want) {
			t.Errorf("not in the log: %s\n%s", want, p.Output)
		}
	}
	p.Signal(t, syscall.SIGTERM)
}

// TestSocketActivateWrongly: with sockets that cannot be used, the start fails with exit code 1, and the error says
// what to change.
func TestSocketActivateWrongly(t *testing.T) {
	program := parts.Find(t, "systemd-socket-activate")
	file := filepath.Join(t.TempDir(), "config.yaml")
	lone("https://example.org/").Defaults(t).Write(t, file)
	for what, tt := range map[string]struct {
		args []string
		want string
	}{
		"name":      {[]string{"--fdname=web"}, "unknown name: write FileDescriptorName=clients or admin"},
		"datagrams": {[]string{"--datagram", "--fdname=clients"}, "it takes datagrams"},
		"too many":  {[]string{"-l", parts.FreeAddr(t), "--fdname=clients:clients"}, "another socket has this name"},
	} {
		t.Run(what, func(t *testing.T) {
			addr := parts.FreeAddr(t)
			network := "tcp"
			if what == "datagrams" {
				network = "udp"
			}
			p := parts.Start(t, parts.Spec{
				Path: program, Args: append(append([]string{"-l", addr}, tt.args...), proxy.Binary(t), "serve", "--config", file), Quiet: true,
			})
			// systemd-socket-activate starts the server when a client comes.
			parts.Poll(t, 30*time.Second, "the end", func() error {
				if !p.Running() {
					return nil
				}
				if conn, err := net.Dial(network, addr); err == nil {
					_, _ = conn.Write([]byte("x"))
					conn.Close()
				}
				return errors.New("it runs")
			})
			if code := p.Wait(t, time.Second); code != 1 || !strings.Contains(p.Output.String(), tt.want) || !strings.Contains(p.Output.String(), "hint: ") {
				t.Errorf("exit code %d, want 1 and %q:\n%s", code, tt.want, p.Output)
			}
		})
	}
}
