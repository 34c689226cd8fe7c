package rollout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A kubelet tries a pull this often, with this pause between tries. A client gives up when a request takes too long.
const (
	tries    = 3
	between  = 5 * time.Second
	patience = 30 * time.Second
)

// pace is how often a client of each place starts a pull through each instance, crowded how many of them pull at once:
// on a machine that is too slow there are fewer pulls.
const (
	pace    = 2 * time.Second
	crowded = 5
)

// pull is the record of one pull.
type pull struct {
	from     place
	through  string
	began    time.Time
	failures []failure // of its tries
	done     bool      // the last try succeeded
}

type failure struct {
	at  time.Time
	err error
}

func (p *pull) String() string {
	var text []string
	for _, f := range p.failures {
		text = append(text, fmt.Sprintf("+%.1fs %v", f.at.Sub(p.began).Seconds(), f.err))
	}
	return fmt.Sprintf("%s through %s: %s", p.from.name, p.through, strings.Join(text, "; "))
}

// crowd pulls all the time through each production instance, as a client of each place. Every second pull breaks off in
// the largest layer and goes on with a Range request, which reaches the instance as the first one: as behind a load
// balancer, where another instance has sent the client the beginning.
type crowd struct {
	stop context.CancelFunc
	wg   sync.WaitGroup
	next atomic.Int32

	mu     sync.Mutex
	pulls  []*pull
	layers []layer
}

// layer is the record of one request for a layer.
type layer struct {
	from    place
	through string
	at      time.Time
	by      string // the name of what served it
}

// sent reports why not all requests for layers of the last few seconds from a place were served as want says, through
// each instance; nil if they were.
func (c *crowd) sent(from place, want func(by string) bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[string]bool{}
	for _, l := range c.layers {
		if l.from != from || time.Since(l.at) > 3*pace {
			continue
		}
		if seen[l.through] = true; !want(l.by) {
			return fmt.Errorf("from %s through %s: served by %s", from.name, l.through, l.by)
		}
	}
	if len(seen) < 4 {
		return fmt.Errorf("from %s: only through %v", from.name, seen)
	}
	return nil
}

// last returns when the last request from a place was made that was served as unwanted says.
func (c *crowd) last(from place, unwanted func(by string) bool) (at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.layers {
		if l.from == from && unwanted(l.by) && l.at.After(at) {
			at = l.at
		}
	}
	return at
}

// share returns how many of the requests since a moment, from a place, a store served.
func (c *crowd) share(since time.Time, from place, store string) (of, all int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.layers {
		if l.from == from && l.at.After(since) {
			if all++; l.by == store+domain {
				of++
			}
		}
	}
	return of, all
}

// gather starts a crowd.
func (w *world) gather(t *testing.T) *crowd {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{stop: cancel}
	roots := x509.NewCertPool()
	roots.AddCert(w.authority.Root)
	for _, i := range w.instances {
		if i.deployment != production {
			continue
		}
		for _, p := range places {
			c.wg.Go(func() {
				tick := time.NewTicker(pace)
				defer tick.Stop()
				slots := make(chan struct{}, crowded)
				for n := 0; ctx.Err() == nil; n++ {
					select {
					case slots <- struct{}{}:
						c.wg.Go(func() {
							c.pull(ctx, roots, p, i.name, n%2 == 1)
							<-slots
						})
					default:
					}
					select {
					case <-tick.C:
					case <-ctx.Done():
					}
				}
			})
		}
	}
	t.Cleanup(func() { c.leave() })
	return c
}

// leave stops the crowd and returns all pulls that have ended.
func (c *crowd) leave() []*pull {
	c.stop()
	c.wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pulls
}

func (c *crowd) pull(ctx context.Context, roots *x509.CertPool, from place, through string, resumes bool) {
	m := &machine{base: "https://" + through + domain, resumes: resumes, whole: map[string][]byte{}}
	m.served = func(at time.Time, by string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.layers = append(c.layers, layer{from, through, at, by})
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from.machine(int(c.next.Add(1))), 0))}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots}, DisableCompression: true}
	m.http = &http.Client{Transport: transport, Timeout: patience}
	defer transport.CloseIdleConnections()
	p := &pull{from: from, through: through, began: time.Now()}
	for n := range tries {
		if n > 0 {
			pause := time.NewTimer(between)
			select {
			case <-pause.C:
			case <-ctx.Done(): // its failures count, but not that it gave up
				p.done = true
			}
		}
		if p.done {
			break
		}
		err := m.once("app", "1.0")
		if err == nil {
			p.done = true
			break
		}
		p.failures = append(p.failures, failure{time.Now(), err})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulls = append(c.pulls, p)
}

// tally sums up the pulls that began since a moment.
type tally struct {
	pulls, first, failed int // all; those whose first try failed; those that failed in the end
	firstAt, lastAt      time.Time
	failing              []*pull // those whose first try failed
}

// examples are some of the pulls whose first try failed.
func (s tally) examples() []*pull { return s.failing[:min(len(s.failing), 5)] }

// by returns how many pulls a store has failed.
func (s tally) by(store string) (n int) {
	for _, p := range s.failing {
		if strings.Contains(p.String(), store+domain) {
			n++
		}
	}
	return n
}

// tally counts pulls through the instances; none: through all.
func (c *crowd) tally(since time.Time, through ...string) tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out tally
	for _, p := range c.pulls {
		if p.began.Before(since) || len(through) > 0 && !strings.Contains(strings.Join(through, " "), p.through) {
			continue
		}
		out.pulls++
		if len(p.failures) == 0 {
			continue
		}
		out.first++
		if at := p.failures[0].at; out.firstAt.IsZero() || at.Before(out.firstAt) {
			out.firstAt = at
		}
		if at := p.failures[0].at; at.After(out.lastAt) {
			out.lastAt = at
		}
		if !p.done {
			out.failed++
		}
		out.failing = append(out.failing, p)
	}
	return out
}

func (s tally) String() string {
	return fmt.Sprintf("%d pulls, %d with a failed first try, %d failed in the end", s.pulls, s.first, s.failed)
}

// machine is a client, which keeps what it has between its tries.
type machine struct {
	base    string
	resumes bool // breaks off in the largest layer
	http    *http.Client
	whole   map[string][]byte
	served  func(at time.Time, by string) // is told about each layer
}

const accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"

// once tries to pull an image for amd64.
func (m *machine) once(repository, tag string) error {
	index, err := m.get("/v2/"+repository+"/manifests/"+tag, "")
	if err != nil {
		return fmt.Errorf("tag: %w", err)
	}
	var list struct {
		Manifests []struct {
			Digest   string
			Platform struct{ Architecture string }
		}
	}
	if err := json.Unmarshal(index, &list); err != nil {
		return err
	}
	for _, one := range list.Manifests {
		if one.Platform.Architecture != "amd64" {
			continue
		}
		raw, err := m.get("/v2/"+repository+"/manifests/"+one.Digest, one.Digest)
		if err != nil {
			return fmt.Errorf("manifest: %w", err)
		}
		var manifest struct {
			Config struct{ Digest string }
			Layers []struct {
				Digest string
				Size   int64
			}
		}
		if err := json.Unmarshal(raw, &manifest); err != nil {
			return err
		}
		for n, layer := range manifest.Layers {
			path := "/v2/" + repository + "/blobs/" + layer.Digest
			if m.resumes && n == len(manifest.Layers)-1 {
				err = m.rest(path, layer.Digest, layer.Size)
			} else {
				_, err = m.get(path, layer.Digest)
			}
			if err != nil {
				return fmt.Errorf("layer %d: %w", n, err)
			}
		}
		_, err = m.get("/v2/"+repository+"/blobs/"+manifest.Config.Digest, manifest.Config.Digest)
		return err
	}
	return errors.New("no image for amd64")
}

// get reads what a path has, and verifies it.
func (m *machine) get(path, digest string) ([]byte, error) {
	if data, ok := m.whole[digest]; ok {
		return data, nil
	}
	resp, err := m.do(path, "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s by %s", resp.Status, resp.Request.URL.Host)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("from %s: %w", resp.Request.URL.Host, err)
	}
	if sum := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); digest != "" && sum != digest {
		return nil, fmt.Errorf("wrong bytes from %s", resp.Request.URL.Host)
	}
	if digest != "" {
		m.whole[digest] = data
	}
	return data, nil
}

// rest reads the second half of a layer, of which another server has sent the first.
func (m *machine) rest(path, digest string, size int64) error {
	if _, ok := m.whole[digest]; ok {
		return nil
	}
	resp, err := m.do(path, fmt.Sprintf("bytes=%d-", size/2))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var got bytes.Buffer
	if resp.StatusCode == http.StatusPartialContent {
		_, err = io.Copy(&got, resp.Body)
	} else {
		err = fmt.Errorf("resume: %s by %s", resp.Status, resp.Request.URL.Host)
	}
	if err == nil && int64(got.Len()) != size-size/2 {
		err = fmt.Errorf("%d bytes from %s, want %d", got.Len(), resp.Request.URL.Host, size-size/2)
	}
	if err == nil {
		m.whole[digest] = got.Bytes()
	}
	return err
}

func (m *machine) do(path, rangeHeader string) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodGet, m.base+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if rangeHeader != "" {
		req.Header.Set("Range", rangeHeader)
	}
	at := time.Now()
	resp, err := m.http.Do(req)
	if err == nil && strings.Contains(path, "/blobs/") {
		m.served(at, resp.Request.URL.Host)
	}
	return resp, err
}
