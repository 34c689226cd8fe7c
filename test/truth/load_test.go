package truth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"ociproxy/test/count"
)

// kind is a program that pulls, and what it does with a layer.
type kind struct {
	agent string
	// layer downloads a layer. n counts the pulls of this kind, so that the share of cut downloads is exact.
	layer func(p *puller, b blob, n int) error
}

var kinds = map[string]kind{
	// Now and then a node goes away.
	"containerd": {"containerd/v2.1.4", func(p *puller, b blob, n int) error {
		if n%20 == 0 {
			return p.get(b, "", b.size/2)
		}
		return p.get(b, "", 0)
	}},
	// A bad line: some downloads break off, and go on from there.
	"crane": {"crane/0.22.1", func(p *puller, b blob, n int) error {
		if n%3 != 0 {
			return p.get(b, "", 0)
		}
		if err := p.get(b, "", b.size/8); err != nil {
			return err
		}
		return p.get(b, fmt.Sprintf("bytes=%d-", b.size/8), 0)
	}},
	// A lazy snapshotter: the footer, and what a container reads first.
	"stargz": {"stargz-snapshotter/0.18.2", func(p *puller, b blob, n int) error {
		return errors.Join(p.head(b), p.get(b, "bytes=-51", 0), p.get(b, "bytes=65536-98303", 0), p.get(b, "bytes=4096-8191", 0))
	}},
	// Chunks, one after the other. The last one is longer than the blob.
	"soci": {"soci-snapshotter/0.8", func(p *puller, b blob, _ int) error {
		const chunk = 100_000
		for from := int64(0); from < b.size; from += chunk {
			if err := p.get(b, fmt.Sprintf("bytes=%d-%d", from, from+chunk-1), 0); err != nil {
				return err
			}
		}
		return nil
	}},
	// Impatient people.
	"curl": {"curl/8.5.0", func(p *puller, b blob, n int) error {
		if n%2 == 0 {
			return p.get(b, "", b.size/8)
		}
		return p.get(b, "", 0)
	}},
}

// mix says how many pulls of each kind clients of a place make. Each pull has three small blobs, and those of bigs also a layer.
type mix struct {
	from  string
	pulls int
	bigs  map[string]int // by kind
}

// puller is one client: an address that no other pull has.
type puller struct {
	ctx   context.Context
	w     *world
	http  *http.Client // to the stores
	addr  string
	agent string
}

// load makes the pulls of a day.
func (w *world) load(t *testing.T, day []mix) {
	t.Helper()
	dialer := net.Dialer{Control: count.Narrow}
	stores := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: workers},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	w.client.Transport = &http.Transport{MaxIdleConnsPerHost: workers}
	type job struct {
		from where
		kind string
		big  bool
		n    int
	}
	jobs := make(chan job, 256)
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range workers {
		all.Add(1)
		go func() {
			defer all.Done()
			for j := range jobs {
				k := kinds[j.kind]
				p := &puller{ctx: t.Context(), w: w, http: stores, addr: w.address(j.from), agent: k.agent}
				if err := p.pull(k, j.big, j.n); err != nil && failed.Load() == nil {
					err = fmt.Errorf("%s from %s: %w", j.kind, j.from.name, err)
					failed.Store(&err)
				}
			}
		}()
	}
	for _, m := range day {
		from := clients[0]
		for _, c := range clients {
			if c.name == m.from {
				from = c
			}
		}
		left := m.pulls
		for name, n := range m.bigs {
			for i := range n {
				jobs <- job{from, name, true, i}
				left--
			}
		}
		for range left {
			jobs <- job{from, "containerd", false, 0}
		}
	}
	close(jobs)
	all.Wait()
	stores.CloseIdleConnections()
	w.client.CloseIdleConnections()
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
}

const workers = 8

var pulls atomic.Uint32

// address returns an address of a place that no pull had: of IPv6, one in a network of its own.
func (w *world) address(from where) string {
	n := pulls.Add(1)
	b := from.prefix.Addr().As16()
	if from.prefix.Addr().Is4() {
		n %= 1<<(32-from.prefix.Bits()) - 1
		b[13] += byte(n >> 16)
		b[14] += byte(n >> 8)
		b[15] = byte(n)
		return netip.AddrFrom16(b).Unmap().String()
	}
	b[5], b[6], b[7], b[15] = byte(n>>16), byte(n>>8), byte(n), 1
	return netip.AddrFrom16(b).String()
}

func (p *puller) pull(k kind, big bool, n int) error {
	for i := range 3 {
		if err := p.get(p.w.small[(n+2*i)%len(p.w.small)], "", 0); err != nil {
			return err
		}
	}
	if !big {
		return nil
	}
	return k.layer(p, p.w.big[n%len(p.w.big)], n)
}

func (p *puller) head(b blob) error {
	_, err := p.follow(http.MethodHead, b, "")
	return err
}

// get downloads a blob, or the part of it that header says. With limit it goes away after so many bytes.
func (p *puller) get(b blob, header string, limit int64) error {
	resp, err := p.follow(http.MethodGet, b, header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		return fmt.Errorf("GET %s: %s", resp.Request.URL, resp.Status)
	}
	var body io.Reader = resp.Body
	if limit > 0 {
		body = io.LimitReader(body, limit)
	}
	_, err = io.Copy(io.Discard, body)
	return err
}

// follow asks the proxy, and then who it names.
func (p *puller) follow(method string, b blob, header string) (*http.Response, error) {
	resp, err := p.do(p.w.client, method, p.w.proxy.URL("/v2/app/blobs/"+b.digest), header)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	to := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusTemporaryRedirect || to == "" {
		return nil, fmt.Errorf("%s %s: %s", method, b.digest, resp.Status)
	}
	return p.do(p.http, method, to, header)
}

func (p *puller) do(c *http.Client, method, url, header string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(p.ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Forwarded-For", p.addr)
	req.Header.Set("User-Agent", p.agent)
	if header != "" {
		req.Header.Set("Range", header)
	}
	return c.Do(req)
}
