package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/check/judge"
)

// ranges asks for parts of a blob that came whole before, as runtimes do when they resume or read in parallel.
func (s *session) ranges(ctx context.Context, im *image, at *url.URL, b judge.Blob) {
	if b.Size < 4 {
		return
	}
	middle := judge.Span{From: b.Size / 3, To: min(b.Size/3+1023, b.Size-1)}
	tail := judge.Span{From: max(1, b.Size-smallRange), To: b.Size - 1}
	for _, ask := range []struct {
		id, header string
		span       judge.Span
	}{
		{"range.first", "bytes=0-0", judge.Span{From: 0, To: 0}},
		{"range.middle", middle.Header(false), middle},
		{"range.open", tail.Header(true), tail},
		{"range.suffix", fmt.Sprintf("bytes=-%d", b.Size-tail.From), tail},
	} {
		began := s.meter.begin(ctx)
		ans := s.blob(ctx, http.MethodGet, at, smallRange, map[string]string{"Range": ask.header})
		if !s.spent(ctx, ask.id, im.ref.String(), at, ans.Err) {
			s.record(ask.id, im.ref.String(), at, began, int64(len(ans.Body)), judge.Ranged(ans, b, ask.span, nil))
		}
	}
	began := s.meter.begin(ctx)
	ans := s.blob(ctx, http.MethodGet, at, 4096, map[string]string{"Range": fmt.Sprintf("bytes=%d-", b.Size)})
	if !s.spent(ctx, "range.past-end", im.ref.String(), at, ans.Err) {
		s.say("range.past-end", im.ref.String(), at, began, judge.PastEnd(ans, b))
	}
	s.parallel(ctx, im, at, b)
}

// parallelRanges is how many ranges of one blob are asked for at once: as many as containerd 2 opens by default for a
// big layer with concurrent downloads switched on.
const parallelRanges = 4

// parallel reads the beginning of a blob in pieces side by side. For a small blob the pieces are the whole, and its
// digest is compared.
func (s *session) parallel(ctx context.Context, im *image, at *url.URL, b judge.Blob) {
	began := s.meter.begin(ctx)
	all := min(b.Size, parallelRanges*smallRange)
	each := (all + parallelRanges - 1) / parallelRanges
	var parts [parallelRanges][]byte
	g, gctx := errgroup.WithContext(ctx)
	for i := range parts {
		from := int64(i) * each
		to := min(from+each, all) - 1
		if from > to {
			continue
		}
		g.Go(func() error {
			one := s.session(s.as) // an asker is for one goroutine
			ans := one.blob(gctx, http.MethodGet, at, each, map[string]string{"Range": judge.Span{From: from, To: to}.Header(false)})
			if errors.Is(ans.Err, errSpent) {
				return errSpent
			}
			if v := judge.Ranged(ans, b, judge.Span{From: from, To: to}, nil); v.Result != judge.OK {
				return errors.New(v.Detail)
			}
			parts[i] = ans.Body
			return nil
		})
	}
	err := g.Wait()
	if s.spent(ctx, "range.parallel", im.ref.String(), at, err) {
		return
	}
	v := judge.Good("%d ranges at once", parallelRanges)
	switch {
	case err != nil:
		v = judge.Fail("allow several requests at once from one client", "%d ranges at once: %v", parallelRanges, err)
	case all == b.Size && judge.Sum(b.Digest, bytes.Join(parts[:], nil)) != b.Digest:
		v = judge.Fail(judge.HintBytes, "the joined ranges of %s are other bytes", b)
	}
	s.record("range.parallel", im.ref.String(), at, began, all, v)
}

// resume reads a blob, cuts the connection at a random offset, reads the rest with an open-ended range and compares the
// digest of both, as CRI-O and containerd do after a broken pull.
func (s *session) resume(ctx context.Context, im *image, at *url.URL, b judge.Blob) {
	if b.Size < 4 {
		return
	}
	began := s.meter.begin(ctx)
	cut := 1 + rand.Int64N(b.Size-2)
	h := b.Digest.Hash()
	read := func(header map[string]string, want int, n int64) error {
		resp, cancel, err := s.open(ctx, at, header, b.Size)
		if err != nil {
			return err
		}
		defer cancel()
		defer resp.Body.Close() // of a body that is not read to its end: this cuts the connection
		if resp.StatusCode != want {
			return fmt.Errorf("%d, want %d", resp.StatusCode, want)
		}
		if got := resp.Header.Get("Content-Range"); want == http.StatusPartialContent && got != fmt.Sprintf("bytes %d-%d/%d", cut, b.Size-1, b.Size) {
			return fmt.Errorf("Content-Range %q after a cut at %d", got, cut)
		}
		if _, err := io.CopyN(h, resp.Body, n); err != nil {
			return fmt.Errorf("broke off: %w", err)
		}
		return nil
	}
	err := read(nil, http.StatusOK, cut)
	if err == nil {
		err = read(map[string]string{"Range": fmt.Sprintf("bytes=%d-", cut)}, http.StatusPartialContent, b.Size-cut)
	}
	if s.spent(ctx, "resume", im.ref.String(), at, err) {
		return
	}
	v := judge.Good("%s, cut after %d bytes, digest verified", b, cut)
	switch {
	case err != nil:
		v = judge.Fail(judge.HintRange, "a pull of %s that was cut after %d bytes does not resume: %v", b, cut, err)
	case !b.Digest.Matches(h):
		v = judge.Fail(judge.HintBytes, "%s, cut after %d bytes and resumed, has other bytes", b, cut)
	}
	s.record("resume", im.ref.String(), at, began, b.Size, v)
}
