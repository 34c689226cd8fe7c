package tutorial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ociproxy/internal/wait"
	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// updateVariable passes -update into the machine of parts.Apart.
const updateVariable = "OCIPROXY_UPDATE"

// TestSlowRegion does what docs/adding-a-region.md says, from the stanza to the pulls and back, and then what
// docs/adding-a-cloud.md says. Clients pull all the time, and none may fail.
func TestSlowRegion(t *testing.T) {
	parts.Slow(t)
	if !parts.Apart(t, 6*time.Minute, func() []string {
		for _, name := range []string{"haproxy", "prometheus", "versitygw", "registry", "crane", "curl"} {
			parts.Find(t, name)
		}
		env := []string{"OCIPROXY_BINARY=" + proxy.Binary(t), "OCIPROXYCTL_BINARY=" + ctl.Binary(t)}
		if *update {
			env = append(env, updateVariable+"=1")
		}
		return env
	}) {
		return
	}
	*update = os.Getenv(updateVariable) != ""
	const region, cloud = "adding-a-region.md", "adding-a-cloud.md"
	began := time.Now()
	d := deploy(t, configOf(t, region))
	t.Logf("everything runs after %.1f s", time.Since(began).Seconds())
	d.hurry(t)
	bin := t.TempDir()
	for name, file := range map[string]string{"oci-proxyctl": ctl.Binary(t), "oci-proxy": proxy.Binary(t), "crane": parts.Find(t, "crane")} {
		link(t, filepath.Join(bin, name), file)
	}
	s := newShell(t, shellOptions{dir: d.dir, path: bin, env: d.env})
	pulls := d.pull(t)
	d.follow(t, s, region, pulls, "prod-eus2.s3.eu-south-2.example.net")
	pulls.must(t, "prod-use1.s3.us-east-1.example.net") // the region is gone again
	d.file(t, "config.yaml", configOf(t, cloud))
	d.follow(t, s, cloud, pulls, "layers.s3.berlin.example.net")
	pulls.end(t)
	t.Logf("%.1f s", time.Since(began).Seconds())
}

// follow does what a page says. When it pulls, all pulls must come from a host.
func (d *deployment) follow(t *testing.T, s *shell, name string, p *pulls, host string) {
	t.Helper()
	all := steps(t, name)
	pulled := false
	for i := range all {
		began := time.Now()
		s.check(t, &all[i])
		t.Logf("%.1f s: %s", time.Since(began).Seconds(), all[i].command)
		if strings.HasPrefix(all[i].command, "crane pull") {
			pulled = true
			p.must(t, host)
		}
	}
	if !pulled || len(all) < 6 {
		t.Errorf("%s: %d commands, pulled: %v: is the pattern still right?", name, len(all), pulled)
	}
	if *update {
		write(t, name, all)
	}
}

// configOf returns the config that a page begins with.
func configOf(t *testing.T, name string) string {
	t.Helper()
	m := regexp.MustCompile("(?ms)^```yaml\n(version: 1\n.*?)^```$").FindStringSubmatch(page(t, name))
	if m == nil {
		t.Fatalf("%s has no config: is the pattern still right?", name)
	}
	return m[1]
}

// hurry makes the instances look at once for what is published.
func (d *deployment) hurry(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for wait.For(ctx, time.Second) == nil {
			for _, p := range d.instances {
				_ = syscall.Kill(p.PID(), syscall.SIGHUP) // it may end just now
			}
		}
	}()
}

// pulls are the pulls of clients in Spain, one after the other, each from another network.
type pulls struct {
	mu     sync.Mutex
	n      int
	recent []string
	fault  error
	stop   func()
}

// pull begins to pull.
func (d *deployment) pull(t *testing.T) *pulls {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(d.authority.Root)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	p := &pulls{stop: func() { cancel(); <-done }}
	t.Cleanup(p.stop)
	blob := d.image.Arch["amd64"].Blobs[0]
	from := netip.MustParsePrefix(spain).Addr().As4()
	go func() {
		defer close(done)
		for n := 0; wait.For(ctx, 20*time.Millisecond) == nil; n++ {
			k := n % 500
			addr := net.IPv4(from[0], from[1]+byte(k>>8), byte(k), 9)
			client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
				DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: addr}}).DialContext,
			}}
			host, err := once(ctx, client, "https://registry.example.org/v2/team/app/blobs/"+blob.Digest)
			if ctx.Err() == nil {
				p.note(host, err)
			}
		}
	}()
	return p
}

// once downloads a layer and returns the host that sent it.
func once(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return "", errors.Join(err, fmt.Errorf("%s from %s", resp.Status, resp.Request.URL.Host))
	}
	return resp.Request.URL.Host, nil
}

func (p *pulls) note(host string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	if err != nil && p.fault == nil {
		p.fault = fmt.Errorf("pull %d: %w", p.n, err)
	}
	p.recent = append(p.recent, host)
}

// must waits until 25 pulls in a row came from a host.
func (p *pulls) must(t *testing.T, host string) {
	t.Helper()
	parts.Poll(t, time.Minute, "pulls from "+host, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.recent) < 25 {
			return fmt.Errorf("%d pulls", len(p.recent))
		}
		for _, h := range p.recent[len(p.recent)-25:] {
			if h != host {
				return fmt.Errorf("one came from %q", h)
			}
		}
		return nil
	})
}

// end requires that no pull has failed.
func (p *pulls) end(t *testing.T) {
	t.Helper()
	p.stop()
	if p.fault != nil || p.n < 200 {
		t.Errorf("%d pulls: %v", p.n, p.fault)
	}
	t.Logf("%d pulls, none failed", p.n)
}
