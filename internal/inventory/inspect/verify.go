package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/dustin/go-humanize/english"

	"ociproxy/internal/fetch"
	"ociproxy/internal/inventory"
)

// Verification says what to check.
type Verification struct {
	// Sample is how many random blobs to request from the store at Source.Blobs. 0: none.
	Sample int
	// Whole makes Verify read and hash the sampled blobs. Without it, Verify only asks for their size.
	Whole bool
}

// Verify checks an inventory as a reader does that does not believe it yet: head, age, every segment, and a sample of
// blobs. The report says what is wrong with the inventory. The error is for other causes: ctx, the local disk.
func Verify(ctx context.Context, src Source, v Verification, opt Options) (*Report, error) {
	l := newLine(opt)
	defer l.close()
	r := &Report{URL: src.URL, Findings: []Finding{}}
	head, err := l.head(ctx, src)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err != nil {
		r.add("head", judge(err), "", "%v", err)
		return r, nil
	}
	r.describe(src, head, opt.now())
	s, err := l.open(ctx, src, head)
	if err := ctx.Err(); err != nil {
		if s != nil {
			s.Close()
		}
		return nil, err
	}
	if err != nil {
		return r, l.segments(ctx, src, head, r, err)
	}
	defer s.Close()
	for _, ref := range s.Head().Segments {
		if ref.Images() { // servers do not read them
			if err := l.check(ctx, src, ref, r); err != nil {
				return nil, err
			}
			continue
		}
		r.add("segment", OK, ref.SHA256, "%s, %s", english.Plural(int(ref.Count), "record", ""), english.Plural(int(ref.Bytes), "byte", ""))
	}
	sampled, err := r.count(s, v.Sample)
	if err != nil {
		return nil, err
	}
	if v.Sample > 0 {
		l.sample(ctx, src, v, sampled, r)
	}
	return r, ctx.Err()
}

// describe checks what the head says.
func (r *Report) describe(src Source, head *inventory.Head, now time.Time) {
	r.Store, r.Generation, r.WrittenAt = head.Store, head.Generation, &head.WrittenAt
	r.add("head", OK, "", "generation %d, segments: %d", head.Generation, len(head.Segments))
	switch {
	case src.Store == "":
		r.add("store", OK, "", "%s; nobody said whose it should be", head.Store)
	case src.Store == head.Store:
		r.add("store", OK, "", "%s", head.Store)
	default:
		r.add("store", Fault, "", "it says %.80q, expected %q: a bucket was replicated, or the URL is wrong", head.Store, src.Store)
	}
	age := now.Sub(head.WrittenAt).Round(time.Second)
	switch limit := src.staleAfter(); {
	case age > limit:
		r.add("age", Fault, "", "written %s ago, readers believe it for %s: is the mirror running?", age, limit)
	case -age > inventory.MaxSkew:
		r.add("age", Fault, "", "written %s in the future: the writer's clock or this one is wrong", -age)
	default:
		r.add("age", OK, "", "written %s ago", max(0, age))
	}
}

// segments finds out which segments are at fault when the inventory could not be read. why is the reader's error.
func (l *line) segments(ctx context.Context, src Source, head *inventory.Head, r *Report, why error) error {
	before := r.Faults + r.Unknown
	for _, ref := range head.Segments {
		if err := l.check(ctx, src, ref, r); err != nil {
			return err
		}
	}
	if r.Faults+r.Unknown == before { // it was rewritten meanwhile, or the network is unreliable
		r.add("contents", Unknown, "", "%v", why)
	} else {
		r.add("contents", NotAsked, "", "not every segment could be read")
	}
	return nil
}

// check reads one segment and adds a finding. The error is ctx's.
func (l *line) check(ctx context.Context, src Source, ref inventory.SegmentRef, r *Report) error {
	err := l.segment(ctx, src.URL+inventory.SegmentPrefix+ref.SHA256, ref)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		r.add("segment", judge(err), ref.SHA256, "%v", err)
	case ref.Images():
		r.add("segment", OK, ref.SHA256, "%s, %s", english.Plural(int(ref.Count), "image", ""), english.Plural(int(ref.Bytes), "byte", ""))
	default:
		r.add("segment", OK, ref.SHA256, "%s, %s", english.Plural(int(ref.Count), "record", ""), english.Plural(int(ref.Bytes), "byte", ""))
	}
	return nil
}

// segment reads one segment and returns what is wrong with it.
func (l *line) segment(ctx context.Context, address string, ref inventory.SegmentRef) error {
	ctx, cancel := context.WithTimeout(ctx, readTime(ref.Bytes))
	defer cancel()
	resp, err := l.get(ctx, l.following, http.MethodGet, address)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t == "text/html" {
		return fetch.ErrHTML
	}
	if resp.ContentLength >= 0 && resp.ContentLength != ref.Bytes {
		return fmt.Errorf("%w: %d bytes, the head says %d", inventory.ErrSegment, resp.ContentLength, ref.Bytes)
	}
	return inventory.Verify(io.LimitReader(resp.Body, ref.Bytes+1), ref)
}

// get makes a request and expects 200. The caller closes the body.
func (l *line) get(ctx context.Context, client *http.Client, method, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, &fetch.StatusError{Code: resp.StatusCode}
	}
	return resp, nil
}

// readTime is how long n bytes may take: a minute, plus a second for each further MB.
func readTime(n int64) time.Duration { return time.Minute + time.Duration(n>>20)*time.Second }
