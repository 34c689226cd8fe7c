package admission

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/check/judge"
)

const (
	// small is the size up to which an object is kept, to compare its ranges byte by byte.
	small = 1 << 20
	// parallelParts is how many ranges of an object are asked for at once. partSize bounds each of them.
	parallelParts, partSize = 4, 4 << 20
	// rangeSize is how much of an object a range asks for.
	rangeSize = 64 << 10
)

const (
	hintGone   = "inventory rebuild corrects the inventory; then find out who removes objects (a lifecycle rule?)"
	hintLength = "the server, or something in front of it, changes answers: make it send each object as it is stored"
	hintBytes  = "the object is not what its name says: oci-proxyctl audit --deep finds such objects and repairs them"
	hintRange  = "answer ranges as RFC 9110 section 14 says: CRI-O, podman and containerd resume broken pulls with bytes=N-"
)

// objects asks the store for the picked objects.
func (r *run) objects(ctx context.Context) error {
	if len(r.blobs) == 0 {
		r.say(idThere, "", judge.Fail("fill the store first: oci-proxyctl mirror", "there is no object to ask for: the inventory lists none, and no image names one"))
		return nil
	}
	budget := r.opt.Bytes / 4
	for _, b := range r.blobs {
		r.rec.Figures.Sample.Objects++
		if r.object(ctx, b, &budget) {
			r.rec.Figures.Sample.Whole++
			r.rec.Figures.Sample.Bytes += b.Size
		}
		r.progress()
	}
	if r.rec.Figures.Sample.Whole == 0 {
		r.say(idGet, "", judge.Fail("raise --bytes", "no object was read completely: the smallest has %s", judge.Size(r.blobs[0].Size)))
	}
	return nil
}

// object asks for one object. It returns true when it read the object completely. It takes what it reads from budget.
func (r *run) object(ctx context.Context, b judge.Blob, budget *int64) bool {
	name := b.Digest.String()
	head := r.asker.Ask(ctx, judge.Query{Method: http.MethodHead, URL: r.at(b)})
	if ctx.Err() != nil || !r.there(name, head) {
		return false
	}
	r.say(idLength, name, length("HEAD", head, b))
	var content []byte
	whole := false
	if cost := 3 * b.Size; cost <= *budget {
		*budget -= cost
		content, whole = r.whole(ctx, b, head)
		r.resume(ctx, b)
	}
	r.ranges(ctx, b, content)
	r.parallel(ctx, b)
	return whole
}

// there judges whether the object exists.
func (r *run) there(name string, head judge.Answer) bool {
	if v, bad := judge.Trouble(head); bad {
		r.say(idThere, name, v)
		return false
	}
	if head.Status != http.StatusOK {
		r.say(idThere, name, judge.Fail(hintGone, "HEAD answers %d", head.Status))
		return false
	}
	r.say(idThere, name, judge.Good("200"))
	return true
}

// length judges Content-Length.
func length(method string, ans judge.Answer, b judge.Blob) judge.Verdict {
	switch {
	case ans.Length < 0:
		return judge.Fail(hintLength, "%s: no Content-Length", method)
	case ans.Length != b.Size:
		return judge.Fail(hintLength, "%s: Content-Length %d, the object has %d bytes", method, ans.Length, b.Size)
	}
	return judge.Good("%s: %d", method, b.Size)
}

// whole reads the object as a runtime does. It returns the content of a small one, and whether all is right.
func (r *run) whole(ctx context.Context, b judge.Blob, head judge.Answer) ([]byte, bool) {
	name, h := b.Digest.String(), b.Digest.Hash()
	var keep bytes.Buffer
	into := io.Writer(h)
	if b.Size <= small {
		into = io.MultiWriter(h, &keep)
	}
	// A server that compresses on the fly does it here.
	g := r.read(ctx, r.client, r.at(b), map[string]string{"Accept-Encoding": "gzip"}, into, b.Size, b.Size+1)
	if g.Err == nil && g.Status == http.StatusOK {
		r.say(idLength, name, length("GET", g.Answer, b))
		r.say(idHead, name, same(head, g.Answer))
	}
	v := judge.Received(g.Answer, b, g.n, sum(b.Digest, h))
	r.say(idGet, name, v)
	if v.Result == judge.Failed || b.Size > small {
		return nil, v.Result != judge.Failed
	}
	return keep.Bytes(), true
}

// same judges whether HEAD and GET say the same.
func same(head, get judge.Answer) judge.Verdict {
	if head.Length != get.Length {
		return judge.Fail(hintLength, "HEAD says %d bytes, GET says %d", head.Length, get.Length)
	}
	var differ []string
	for _, name := range []string{"Content-Type", "ETag", "Last-Modified", "Content-Encoding"} {
		if h, g := head.Header.Get(name), get.Header.Get(name); h != g {
			differ = append(differ, fmt.Sprintf("%s: %.60q and %.60q", name, h, g))
		}
	}
	if len(differ) > 0 {
		return judge.Warn(hintLength, "HEAD and GET differ in %s", strings.Join(differ, "; "))
	}
	return judge.Good("the same length, type and version")
}

// ranges asks for parts of the object. content is the object when it is known.
func (r *run) ranges(ctx context.Context, b judge.Blob, content []byte) {
	if b.Size < 2 {
		return
	}
	name := b.Digest.String()
	ask := func(header string) judge.Answer {
		return r.asker.Ask(ctx, judge.Query{Method: http.MethodGet, URL: r.at(b), Header: map[string]string{"Range": header}, Max: rangeSize})
	}
	first := judge.Span{From: 0, To: 0}
	middle := judge.Span{From: b.Size / 2, To: min(b.Size/2+1023, b.Size-1)}
	tail := judge.Span{From: max(b.Size-rangeSize, 1), To: b.Size - 1}
	r.say(idFirst, name, judge.Ranged(ask(first.Header(false)), b, first, content))
	r.say(idMiddle, name, judge.Ranged(ask(middle.Header(false)), b, middle, content))
	r.say(idOpen, name, judge.Ranged(ask(tail.Header(true)), b, tail, content))
	r.say(idSuffix, name, judge.Ranged(ask(fmt.Sprintf("bytes=-%d", tail.To-tail.From+1)), b, tail, content))
	r.say(idPastEnd, name, judge.PastEnd(ask(fmt.Sprintf("bytes=%d-", b.Size)), b))
}

// resume does what CRI-O does after a cut: it breaks the connection at a random byte, asks for the rest, and hashes what
// it got from both.
func (r *run) resume(ctx context.Context, b judge.Blob) {
	if b.Size < 2 {
		return
	}
	name, h := b.Digest.String(), b.Digest.Hash()
	cut := 1 + rand.Int64N(b.Size-1)
	before := r.read(ctx, r.client, r.at(b), nil, h, b.Size, cut)
	if before.Err != nil || before.Status != http.StatusOK || before.n != cut {
		return // the whole read has failed too
	}
	rest := judge.Span{From: cut, To: b.Size - 1}
	after := r.read(ctx, r.client, r.at(b), map[string]string{"Range": rest.Header(true)}, h, b.Size, b.Size+1)
	r.say(idResume, name, resumed(after, b, rest, sum(b.Digest, h) == b.Digest))
}

// resumed judges the answer to a request for the rest of b. right says that the joined bytes have the digest.
func resumed(g got, b judge.Blob, rest judge.Span, right bool) judge.Verdict {
	if v, bad := judge.Trouble(g.Answer); bad {
		return v
	}
	want := fmt.Sprintf("bytes %d-%d/%d", rest.From, rest.To, b.Size)
	switch content := g.Header.Get("Content-Range"); {
	case g.Status == http.StatusOK:
		return judge.Fail(hintRange, "200 to a request for the rest after %d of %d bytes: a runtime that joins both has a broken layer", rest.From, b.Size)
	case g.Status != http.StatusPartialContent:
		return judge.Fail(hintRange, "%d to a request for the rest after %d of %d bytes: the pull fails", g.Status, rest.From, b.Size)
	case content != want:
		return judge.Fail(hintRange, "Content-Range %.80q, want %q", content, want)
	case g.n != rest.To-rest.From+1:
		return judge.Fail(hintRange, "%d bytes came for the rest of %d", g.n, rest.To-rest.From+1)
	case !right:
		return judge.Fail(hintRange, "the bytes before and after a cut at %d do not have the digest", rest.From)
	}
	return judge.Good("cut after %d of %d bytes, joined, digest verified", rest.From, b.Size)
}

// parallel asks for several ranges at once, on connections of their own, as containerd 2 does. It hashes them when they
// are the whole object.
func (r *run) parallel(ctx context.Context, b judge.Blob) {
	if b.Size < 2*parallelParts {
		return
	}
	spans := parts(b.Size)
	bodies := make([]bytes.Buffer, len(spans))
	var mu sync.Mutex
	var worst judge.Verdict
	var g errgroup.Group
	for i, s := range spans {
		g.Go(func() error {
			a := r.read(ctx, r.client, r.at(b), map[string]string{"Range": s.Header(false)}, &bodies[i], partSize, s.To-s.From+2)
			a.Body = bodies[i].Bytes()
			v := judge.Ranged(a.Answer, b, s, nil)
			mu.Lock()
			defer mu.Unlock()
			if v.Result != judge.OK {
				worst = v
			}
			return nil
		})
	}
	_ = g.Wait() // there are verdicts only
	name := b.Digest.String()
	if worst.Result != "" {
		r.say(idParallel, name, worst)
		return
	}
	h := b.Digest.Hash()
	for i := range bodies {
		_, _ = bodies[i].WriteTo(h)
	}
	if whole := b.Size <= parallelParts*partSize; whole && !b.Digest.Matches(h) {
		r.say(idParallel, name, judge.Fail(hintBytes, "%d ranges at once do not have the digest when they are joined", len(spans)))
		return
	}
	r.say(idParallel, name, judge.Good("%d ranges at once", len(spans)))
}

// parts divides an object of this size. The parts of a large one do not cover it.
func parts(size int64) []judge.Span {
	spans := make([]judge.Span, parallelParts)
	for i := range spans {
		from, to := size*int64(i)/parallelParts, size*int64(i+1)/parallelParts-1
		spans[i] = judge.Span{From: from, To: min(to, from+partSize-1)}
	}
	return spans
}
