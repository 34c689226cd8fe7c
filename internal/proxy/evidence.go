package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/reach"
	"ociproxy/internal/route"
)

const (
	// weighEvery is how often complaints are looked at.
	weighEvery = 15 * time.Second
	// lookBytes is how much is downloaded in lookEvery to see for ourselves, of all stores together.
	lookBytes = 256 << 20
	lookEvery = 10 * time.Minute
	// lookBlobs is how many of the blobs complained of are downloaded, and lookTime how long one may take.
	lookBlobs = 3
	lookTime  = time.Minute
)

// weighEvidence looks closer at candidates that many addresses do not get through to: it downloads what they asked
// for again, as they would. What is wrong is denied to all; what is fine from here is told to the operator.
func (s *Server) weighEvidence(ctx context.Context) {
	tick := time.NewTicker(weighEvery)
	defer tick.Stop()
	look := looks{reported: map[string]int{}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.weigh(ctx, s.world.Load(), &look)
		}
	}
}

// looks is what was spent on looking, and what was reported.
type looks struct {
	since    time.Time
	bytes    int64
	seen     map[string]time.Time // origin and digest
	reported map[string]int       // addresses, by candidate
}

func (s *Server) weigh(ctx context.Context, w *world, look *looks) {
	if now := time.Now(); now.Sub(look.since) >= lookEvery {
		look.since, look.bytes, look.seen = now, lookBytes, map[string]time.Time{}
	}
	found := map[string]bool{}
	for _, f := range s.evidence.Findings(s.reach) {
		i := slices.IndexFunc(w.snapshot.Candidates, func(c route.Candidate) bool { return c.Origin == f.Origin && c.Active })
		if i < 0 {
			continue
		}
		if s.lookAt(ctx, w, i, &f, look) {
			continue
		}
		c := &w.snapshot.Candidates[i]
		found[c.Name] = true
		s.metrics.Unexplained.WithLabelValues(c.Name).Set(float64(len(f.Addresses)))
		if look.reported[c.Name] != len(f.Addresses) {
			look.reported[c.Name] = len(f.Addresses)
			s.log.Warn("a candidate fails for clients and looks fine from here", "candidate", c.Name,
				"addresses", len(f.Addresses), "networks", networksOf(w, f.Addresses))
		}
	}
	for name := range look.reported {
		if !found[name] {
			delete(look.reported, name)
			s.metrics.Unexplained.DeleteLabelValues(name)
		}
	}
}

// networksOf is what the log may say of addresses.
func networksOf(w *world, addrs []netip.Addr) []string {
	var out []string
	for _, a := range addrs {
		if name := logAddress(a, w.cfg.Log.Client); name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// lookAt downloads some of the blobs and reports whether anything was wrong with one.
func (s *Server) lookAt(ctx context.Context, w *world, i int, f *reach.Finding, look *looks) (wrong bool) {
	c := &w.snapshot.Candidates[i]
	if c.Kind == route.Upstream {
		return false // its blobs may need a repository and a token: its health is all that can be told
	}
	for _, d := range f.Digests[:min(len(f.Digests), lookBlobs)] {
		key := f.Origin + d.String()
		if _, done := look.seen[key]; done || look.bytes <= 0 || !w.allow(i) {
			continue
		}
		look.seen[key] = time.Now()
		n, err := s.download(ctx, c.Location(oci.Request{Kind: oci.KindBlob, Digest: d}), d, look.bytes)
		look.bytes -= n
		if err == nil || ctx.Err() != nil || errors.Is(err, errTooLarge) {
			continue
		}
		wrong = true
		s.log.Warn("a blob that clients ask for again is wrong", "candidate", c.Name,
			"digest", d.String(), "error", err.Error())
		w.health.Suspect(i)
		if errors.Is(err, errWrongBytes) || errors.Is(err, errAbsent) {
			if w.doubts.Observe(i, d, false) {
				s.log.Error("a store lacks what its inventory lists: asking it by HEAD until the inventory changes",
					"store", c.Name, "digest", d.String())
			}
		}
	}
	return wrong
}

var (
	errTooLarge   = errors.New("larger than may be downloaded to look at it")
	errWrongBytes = errors.New("the bytes are not the digest's")
	errAbsent     = errors.New("absent")
)

// download reads a blob of at most limit bytes and compares its digest. n is how much was read.
func (s *Server) download(ctx context.Context, url string, d oci.Digest, limit int64) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", "oci-proxy")
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusForbidden:
		return 0, fmt.Errorf("%w: status %d", errAbsent, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("status %d", resp.StatusCode)
	case resp.ContentLength > limit:
		return 0, errTooLarge
	}
	h := d.Hash()
	n, err = io.Copy(h, io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return n, err
	case n > limit:
		return n, errTooLarge
	case !d.Matches(h):
		return n, errWrongBytes
	}
	return n, nil
}
