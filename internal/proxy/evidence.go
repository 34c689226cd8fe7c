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

	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
	"ociproxy/internal/reach"
	"ociproxy/internal/route"
)

const (
	// weighEvery is how often the proxy looks at the complaints.
	weighEvery = 15 * time.Second
	// inspectBytes bounds how much the proxy downloads in inspectEvery to check for itself, from all stores together.
	inspectBytes = 256 << 20
	inspectEvery = 10 * time.Minute
	// inspectBlobs is how many of the blobs that clients complain of the proxy downloads; inspectTime limits each
	// download.
	inspectBlobs = 3
	inspectTime  = time.Minute
)

// weighEvidence looks closer at candidates that many addresses cannot download from. It downloads what they asked for
// again, as they would. It denies wrong blobs to all clients. It reports to the operator blobs that are fine from
// here.
func (s *Server) weighEvidence(ctx context.Context) {
	tick := time.NewTicker(weighEvery)
	defer tick.Stop()
	done := newInspections()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.weigh(ctx, s.wiring.Load(), done)
		}
	}
}

// inspections counts what was spent on downloads, and keeps what they showed and what was reported.
type inspections struct {
	since    time.Time
	bytes    int64
	seen     map[inspected]sight
	reported map[string]int // number of addresses, by candidate
}

func newInspections() *inspections {
	return &inspections{seen: map[inspected]sight{}, reported: map[string]int{}}
}

// inspected is a blob of a candidate. It includes the URL, because a reload may give a candidate's name another URL.
type inspected struct {
	candidate, url string
	digest         oci.Digest
}

// sight is the result of looking at a blob.
type sight struct {
	outcome outcome
	lacks   bool // the candidate has something else under that name, or nothing
	at      time.Time
	wanted  bool // a client still complains of it
}

// outcome is the result of a look. The larger one counts for a candidate.
type outcome uint8

const (
	unseen outcome = iota // not looked at, or the look failed
	fine
	wrong
)

func (s *Server) weigh(ctx context.Context, w *wiring, done *inspections) {
	done.begin(time.Now())
	found := map[string]bool{}
	for _, f := range s.evidence.Findings(s.reach) {
		for _, i := range s.fineFor(ctx, w, &f, done) {
			c := &w.snapshot.Candidates[i]
			found[c.Name] = true
			s.metrics.Unexplained.WithLabelValues(c.Name).Set(float64(len(f.Addresses)))
			if done.reported[c.Name] != len(f.Addresses) {
				done.reported[c.Name] = len(f.Addresses)
				s.log.Warn("a candidate fails for clients and looks fine from here", "candidate", c.Name,
					"addresses", len(f.Addresses), "networks", networksOf(w, f.Addresses))
			}
		}
	}
	for name := range done.reported {
		if !found[name] {
			delete(done.reported, name)
			s.metrics.Unexplained.DeleteLabelValues(name)
		}
	}
}

// begin forgets the results for blobs that no client complains of any more.
func (l *inspections) begin(now time.Time) {
	if now.Sub(l.since) >= inspectEvery {
		l.since, l.bytes = now, inspectBytes
	}
	for k, was := range l.seen {
		if !was.wanted && now.Sub(was.at) >= inspectEvery {
			delete(l.seen, k)
			continue
		}
		was.wanted = false
		l.seen[k] = was
	}
}

// fineFor returns the candidates behind a finding that are fine from here. It returns none when one of them is wrong:
// that explains the complaints. Several candidates may have one origin, such as a CDN and the bucket behind it, and
// clients complain of the origin.
func (s *Server) fineFor(ctx context.Context, w *wiring, f *reach.Finding, done *inspections) (out []int) {
	var of []int
	for i := range w.snapshot.Candidates {
		if c := &w.snapshot.Candidates[i]; c.Origin == f.Origin && c.Active {
			of = append(of, i)
		}
	}
	bad := false
	for _, i := range of {
		switch s.inspect(ctx, w, i, f, done, len(of) == 1) {
		case wrong:
			bad = true
		case fine:
			out = append(out, i)
		case unseen:
		}
	}
	if bad {
		return nil
	}
	return out
}

// networksOf returns what the log may say of addresses.
func networksOf(w *wiring, addrs []netip.Addr) []string {
	var out []string
	for _, a := range addrs {
		if name := logAddress(a, w.cfg.Log.Client); name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// inspect downloads some of the blobs and returns the result, from now or from the last look. alone says that no other
// candidate has this origin, under which answers are remembered.
func (s *Server) inspect(ctx context.Context, w *wiring, i int, f *reach.Finding, done *inspections, alone bool) outcome {
	c := &w.snapshot.Candidates[i]
	if c.Kind == route.Upstream {
		return unseen // its blobs may need a repository and a token: only health can judge it
	}
	worst := unseen
	for n, d := range f.Digests {
		key := inspected{c.Name, c.URL, d}
		is, ok := done.seen[key]
		old := !ok || time.Since(is.at) >= inspectEvery
		if n < inspectBlobs && old && done.bytes > 0 && w.spare(i) {
			is, ok = s.inspectAgain(ctx, w, i, d, done, is)
		} else if n >= inspectBlobs && old {
			continue // other blobs take the looks
		}
		if !ok {
			continue
		}
		is.wanted = true
		done.seen[key] = is
		worst = max(worst, is.outcome)
		if is.lacks && alone && !w.live.View().Believed.Has(i) {
			// Without an inventory, this counts as an answer like any other. It expires, so it is renewed while the
			// fault lasts.
			s.checker.Refute(w.key(i, &oci.Request{Kind: oci.KindBlob, Digest: d}))
		}
	}
	return worst
}

// inspectAgain downloads a blob. was is the earlier result. A blob that was wrong and is fine now explains the
// earlier complaints. ok is false when the process is about to end.
func (s *Server) inspectAgain(ctx context.Context, w *wiring, i int, d oci.Digest, done *inspections, was sight) (now sight, ok bool) {
	now = sight{outcome: fine, at: time.Now()}
	err := s.asClients(ctx, &w.snapshot.Candidates[i], d, done)
	switch {
	case ctx.Err() != nil:
		return was, false
	case err == nil && was.outcome == wrong, errors.Is(err, errTooLarge), errors.Is(err, errOnlyUs):
		now.outcome = unseen
	case err != nil:
		now.outcome, now.lacks = wrong, errors.Is(err, errWrongBytes) || errors.Is(err, errAbsent)
		s.log.Warn("a blob that clients ask for again is wrong", "candidate", w.snapshot.Candidates[i].Name,
			"digest", d.String(), "error", err.Error())
		w.health.Suspect(i)
		if now.lacks {
			s.learn(w, i, d, existence.Answer{Size: -1}) // counts until the inventory changes
		}
	}
	return now, true
}

// asClients downloads a blob from where clients download it. A refusal there may concern our address only (a bucket
// that is open only to its own network). Then the result of the Check URL counts instead.
func (s *Server) asClients(ctx context.Context, c *route.Candidate, d oci.Digest, done *inspections) error {
	req := oci.Request{Kind: oci.KindBlob, Digest: d}
	public, ask := c.Location(req), c.Ask(req)
	n, err := s.download(ctx, public, d, done.bytes)
	done.bytes -= n
	if !errors.Is(err, errRefused) || ask == public {
		return err
	}
	n, err = s.download(ctx, ask, d, done.bytes)
	done.bytes -= n
	if err == nil {
		return errOnlyUs
	}
	return err
}

var (
	errTooLarge   = errors.New("larger than may be downloaded to look at it")
	errWrongBytes = errors.New("the bytes are not the digest's")
	errRefused    = errors.New("refused")
	errAbsent     = errors.New("absent")
	errOnlyUs     = errors.New("refused to us only")
)

// download reads a blob of at most limit bytes and compares its digest. n is the number of bytes read.
func (s *Server) download(ctx context.Context, url string, d oci.Digest, limit int64) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, inspectTime)
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
	case resp.StatusCode == http.StatusNotFound:
		return 0, fmt.Errorf("%w: status %d", errAbsent, resp.StatusCode)
	case resp.StatusCode == http.StatusForbidden: // buckets without permission to list answer 403 for missing objects
		return 0, fmt.Errorf("%w, %w: status %d", errAbsent, errRefused, resp.StatusCode)
	case resp.StatusCode == http.StatusUnauthorized:
		return 0, fmt.Errorf("%w: status %d", errRefused, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("status %d", resp.StatusCode)
	case outbound.Encoding(resp.Header) != "":
		return 0, fmt.Errorf("%w: encoded as %.40q, which clients undo", errWrongBytes, outbound.Encoding(resp.Header))
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
