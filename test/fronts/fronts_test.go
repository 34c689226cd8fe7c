package fronts

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ociproxy/internal/wait"
	"ociproxy/test/authority"
	"ociproxy/test/ctl"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
)

// The fronts have the same port, as in production, at addresses of their own.
const (
	gcp = "127.0.0.2"
	aws = "127.0.0.3"
)

func findControl() (func(conf, command string) ([]byte, error), error) {
	program, err := exec.LookPath("knotc")
	if err != nil {
		program = "/usr/sbin/knotc"
	}
	return func(conf, command string) ([]byte, error) {
		return exec.Command(program, "-c", conf, command).CombinedOutput()
	}, nil
}

// front starts an oci-proxy, and haproxy with a certificate of its own before it.
func front(t *testing.T, a *authority.Authority, addr, port string, cfg proxy.Config) *parts.Process {
	t.Helper()
	p := proxy.Start(t, cfg)
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	write(t, file, fmt.Sprintf(`global
    maxconn 500
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend name
    bind %s:%s ssl crt %s
    default_backend instances
backend instances
    option httpchk GET /-/ready
    server one %s check inter 500ms
`, addr, port, a.Issue(t, 90*24*time.Hour, zone).Together, p.Addr))
	return parts.Start(t, parts.Spec{Path: parts.Find(t, "haproxy"), Args: []string{"-f", file, "-db"},
		Ready: parts.Dial("tcp", addr+":"+port), Abrupt: true})
}

// pulls counts what clients saw.
type pulls struct {
	mu             sync.Mutex
	ok, again, bad int
	last           map[int]string // of each client: the front of its last pull
	since          int            // pulls of all clients since the last mark that went through the front which should be idle
	idle           string
	slowest        time.Duration
}

func (p *pulls) line() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%d pulls, %d attempts failed and were repeated, %d pulls failed; the slowest took %v",
		p.ok+p.bad, p.again, p.bad, p.slowest.Round(10*time.Millisecond))
}

// leaves returns a check that every client has pulled through another front.
func (p *pulls) leaves(front string, clients int) func() error {
	p.mu.Lock()
	p.last = map[int]string{}
	p.mu.Unlock()
	return func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i := range clients {
			if p.last[i] == "" || p.last[i] == front {
				return fmt.Errorf("client %d is at %q", i, p.last[i])
			}
		}
		return nil
	}
}

// puller is a client that pulls again and again, each time over new connections.
type puller struct {
	id   int
	port string
	r    resolver
	tls  *tls.Config
	tag  string
	blob image.Blob
}

// tries and firstWait are kubelet's back-off with the seconds made shorter: it doubles from 10 s to 5 min.
const (
	tries     = 8
	firstWait = 100 * time.Millisecond
)

func (c *puller) run(ctx context.Context, t *testing.T, p *pulls) {
	for ctx.Err() == nil {
		begin := time.Now()
		var at string
		var err error
		for n := range tries {
			if at, err = c.pull(ctx, t); err == nil || ctx.Err() != nil {
				break
			}
			p.mu.Lock()
			p.again++
			p.mu.Unlock()
			_ = wait.For(ctx, wait.Doubled(firstWait, n, 5*time.Second))
		}
		if ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		if err != nil {
			p.bad++
			t.Errorf("client %d: a pull failed after %d attempts: %v", c.id, tries, err)
		} else {
			p.ok++
			p.last[c.id] = at
			if at == p.idle {
				p.since++
			}
		}
		p.slowest = max(p.slowest, time.Since(begin))
		p.mu.Unlock()
		_ = wait.For(ctx, 30*time.Millisecond)
	}
}

// pull reads the manifest of a tag and one layer, and returns the address of the front that answered.
func (c *puller) pull(ctx context.Context, t *testing.T) (string, error) {
	addr, err := c.r.lookup(t)
	if err != nil {
		return "", err
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: c.tls,
		DialContext: func(ctx context.Context, network, target string) (net.Conn, error) {
			if target == net.JoinHostPort(zone, c.port) {
				target = net.JoinHostPort(addr, c.port)
			}
			return new(net.Dialer).DialContext(ctx, network, target)
		},
	}}
	for _, path := range []string{"/v2/", "/v2/app/manifests/" + c.tag, "/v2/app/blobs/" + c.blob.Digest} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+net.JoinHostPort(zone, c.port)+path, nil)
		if err != nil {
			return "", err
		}
		req.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json")
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		hash := sha256.New()
		_, err = io.Copy(hash, resp.Body)
		resp.Body.Close()
		switch {
		case err != nil:
			return "", err
		case resp.StatusCode != http.StatusOK:
			return "", fmt.Errorf("%s: %s", path, resp.Status)
		case strings.HasSuffix(path, c.blob.Digest) && "sha256:"+hex.EncodeToString(hash.Sum(nil)) != c.blob.Digest:
			return "", fmt.Errorf("%s: not the blob", path)
		}
	}
	return addr, nil
}

// TestSlowTwoFronts switches a front off while clients pull, switches it on again, and then kills the other one. No pull
// fails in the end, and all clients move.
func TestSlowTwoFronts(t *testing.T) {
	parts.Slow(t)
	parts.Find(t, "knotc")
	parts.Find(t, "pdns_control")
	a, upstream := authority.New(t), registry.Start(t)
	img := image.New(t, 7, 64<<10)
	img.Push(t, upstream.Addr, "app", "1")
	_, port, err := net.SplitHostPort(parts.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg := proxy.Config{"location": "aws/us-east-1", "client": proxy.Map{"behind": "direct"},
		"ranges":    proxy.Map{"cache": "", "feeds": proxy.List{}},
		"upstreams": proxy.List{proxy.Map{"name": "main", "url": "http://" + upstream.Addr, "insecure": true, "place": "aws/us-east-1", "canonical": true}}}
	front(t, a, gcp, port, cfg)
	second := front(t, a, aws, port, cfg)

	file := filepath.Join(t.TempDir(), "fronts.auto.tfvars.json")
	write(t, file, fmt.Sprintf(`{
  "zone": %q,
  "name": %q,
  "ttl": %d,
  "fronts": {
    "aws": {"on": true, "weight": 50, "ipv4": [%q], "ipv6": []},
    "gcp": {"on": true, "weight": 50, "ipv4": [%q], "ipv6": []}
  }
}
`, zone, zone, ttl, aws, gcp))
	roots := x509.NewCertPool()
	roots.AddCert(a.Root)
	both := inFile(t, file)
	providers := []provider{startPowerDNS(t, port, both), startKnot(t, port, roots, both)}
	var servers, flags []string
	for _, p := range providers {
		servers = append(servers, p.addr())
		flags = append(flags, "--name-server", p.addr())
	}

	const clients = 8
	seen := &pulls{last: map[int]string{}}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range clients {
		c := &puller{id: i, port: port, tag: "1", blob: img.Arch["amd64"].Blobs[0],
			r:   resolver{servers: servers, next: i},
			tls: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
		all.Add(1)
		go func() {
			defer all.Done()
			c.run(ctx, t, seen)
		}()
	}
	defer all.Wait()
	defer stop()
	used := func(front string) func() error {
		return func() error {
			seen.mu.Lock()
			defer seen.mu.Unlock()
			for _, at := range seen.last {
				if at == front {
					return nil
				}
			}
			return fmt.Errorf("no client is at %s: %v", front, seen.last)
		}
	}
	parts.Poll(t, time.Minute, "both fronts get clients", func() error {
		if err := used(gcp)(); err != nil {
			return err
		}
		return used(aws)()
	})

	// switchTo runs front WORD NAME --wait, and applies the file as soon as it is changed.
	switchTo := func(word, name string) {
		t.Helper()
		before := len(inFile(t, file))
		run := ctl.Start(t, nil, append([]string{"front", word, name, "--fronts", file, "--wait", "1m"}, flags...)...)
		parts.Poll(t, time.Minute, "the file changes", func() error {
			if len(inFile(t, file)) == before {
				return fmt.Errorf("%d addresses", before)
			}
			return nil
		})
		for _, p := range providers {
			p.apply(t, inFile(t, file))
		}
		if got := run.Wait(t, ctl.Limit); got.Code != 0 {
			t.Fatalf("front %s %s: %v", word, name, got)
		}
	}
	begin := time.Now()
	switchTo("off", "gcp")
	parts.Poll(t, time.Minute, "all clients leave gcp", seen.leaves(gcp, clients))
	t.Logf("front off gcp: all %d clients moved %v after the command began; TTL %d s; %s", clients, time.Since(begin).Round(100*time.Millisecond), ttl, seen.line())
	seen.mu.Lock()
	seen.idle, seen.since = gcp, 0
	seen.mu.Unlock()
	if got := ctl.Run(t, ctl.Limit, nil, "front", "off", "aws", "--fronts", file); got.Code != 1 {
		t.Errorf("the last front can be switched off: %v", got)
	}

	switchTo("on", "gcp")
	seen.mu.Lock()
	seen.idle = ""
	seen.mu.Unlock()
	parts.Poll(t, time.Minute, "gcp gets clients again", used(gcp))

	before := seen.line()
	begin = time.Now()
	second.Signal(t, os.Kill)
	parts.Poll(t, time.Minute, "all clients leave aws", seen.leaves(aws, clients))
	t.Logf("aws dies, nobody does anything: all clients moved after %v (checks every 1 s, TTL %d s)", time.Since(begin).Round(100*time.Millisecond), ttl)
	stop()
	all.Wait()
	t.Logf("before: %s", before)
	t.Logf("in all: %s", seen.line())
	if seen.ok < clients*10 {
		t.Errorf("only %d pulls", seen.ok)
	}
}
