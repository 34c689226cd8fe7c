package check

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/dustin/go-humanize/english"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/config"
)

// maxTries is how many blobs a store is asked for before the check decides that it does not hold the image.
const maxTries = 6

// storeProbe asks one store.
type storeProbe struct {
	probe
	url   string // with {digest}: the URL that clients get
	check string // with {digest}: the URL that the proxy asks; "" when it is the same
	state config.State
	rid   bool // redirects carry an id
}

func newStoreProbe(s config.Store, opts *Options) *storeProbe {
	p := &storeProbe{
		probe: probe{kind: kindStore, name: s.Name, opts: opts, families: families(s.Families),
			lenient: s.State == config.Filling},
		url: s.URL, state: s.State, rid: s.RequestID,
	}
	if s.Check != s.URL {
		p.check = s.Check
	}
	return p
}

func at(template, digest string) string { return strings.ReplaceAll(template, "{digest}", digest) }

// store makes all checks of a store except for its inventory. A store must answer itself, so no redirect is followed.
// It returns false when nothing can be asked: the store is off, or does not answer.
func (p *storeProbe) store(ctx context.Context, samples []sample) bool {
	if p.state == config.Off {
		p.say("state", stateNote(p.state))
		return false
	}
	nowhere := judge.MadeUp()
	if !p.connect(ctx, at(p.url, nowhere)) {
		return false
	}
	ans := p.get(ctx, at(p.url, nowhere), 4096, 0, nil)
	if v, none := judge.NoBucket(ans); none {
		p.say("absent.get", v)
		return false
	}
	p.say("absent.get", judge.Absent(ans))
	p.say("absent.head", judge.Absent(p.head(ctx, at(p.url, nowhere), 0, nil)))
	if p.check != "" {
		p.say("check.absent", judge.Absent(p.head(ctx, at(p.check, nowhere), 0, nil)))
	}
	if len(samples) > 0 {
		p.images(ctx, samples)
	}
	return true
}

// images reads blobs of images that the canonical upstream has.
func (p *storeProbe) images(ctx context.Context, samples []sample) {
	small, big := p.find(ctx, samples)
	if small.Digest.IsZero() {
		return
	}
	p.reads(ctx, small)
	if big != small {
		p.reads(ctx, big)
	}
	if p.rid {
		p.ignores(ctx, small)
	}
	if p.check != "" {
		p.read("check.head", judge.Head(p.head(ctx, at(p.check, small.Digest.String()), 0, nil), small))
	}
}

// find asks by HEAD which blobs of the samples the store holds, and returns the smallest and the biggest of them. Both
// are zero when there is none, and find has reported that.
func (p *storeProbe) find(ctx context.Context, samples []sample) (small, big judge.Blob) {
	var missing []int
	var nearMiss judge.Verdict
	tries := 0
	for _, s := range samples {
		for _, b := range s.blobs {
			if tries == maxTries {
				break
			}
			tries++
			ans := p.head(ctx, at(p.url, b.Digest.String()), 0, nil)
			if ans.Err == nil && (ans.Status == http.StatusNotFound || ans.Status == http.StatusForbidden) {
				missing = append(missing, ans.Status)
				continue
			}
			v := judge.Head(ans, b)
			if v.Result == Failed && ans.Status != http.StatusOK {
				// HEAD does not work here. GET may work: the read checks find out.
				p.read("head", v)
				return b, b
			}
			p.read("head", v)
			return b, p.biggest(ctx, s, b)
		}
	}
	n403 := 0
	for _, st := range missing {
		if st == http.StatusForbidden {
			n403++
		}
	}
	if n403 == 0 {
		nearMiss = judge.Warn(judge.HintMirror, "404 for %s, all that were asked for: the read checks were not made",
			english.Plural(len(missing), "blob", ""))
	} else {
		nearMiss = judge.Fail(judge.HintMissing, "403 for %d of %s that the canonical upstream has", n403, english.Plural(len(missing), "blob", ""))
	}
	p.read("head", nearMiss)
	return judge.Blob{}, judge.Blob{}
}

// biggest returns the biggest blob of s that the store holds, or small if it finds no bigger one.
func (p *storeProbe) biggest(ctx context.Context, s sample, small judge.Blob) judge.Blob {
	for i := len(s.blobs) - 1; i >= max(0, len(s.blobs)-3); i-- {
		b := s.blobs[i]
		if b == small {
			break
		}
		if ans := p.head(ctx, at(p.url, b.Digest.String()), 0, nil); ans.Err == nil && ans.Status == http.StatusOK {
			p.read("head", judge.Head(ans, b))
			return b
		}
	}
	return small
}

// ignores asks for a blob with two ids that the server's redirects could carry. The store must answer as without them, and a
// CDN must have the second answer in its cache.
func (p *storeProbe) ignores(ctx context.Context, b judge.Blob) {
	if b.Size < 1 {
		return
	}
	span := judge.Span{From: 0, To: min(tailSize, b.Size) - 1}
	ask := func() judge.Answer {
		url := at(p.url, b.Digest.String()) + "?x-rid=" + rand.Text()
		return p.get(ctx, url, tailSize, 0, map[string]string{"Range": span.Header(false)})
	}
	if v := judge.Ranged(ask(), b, span, nil); v.Result == Failed {
		p.say("x-rid", judge.Fail(hintRID, "with an id in the URL: %s", v.Detail))
		return
	}
	again := ask()
	said := ""
	for _, name := range []string{"X-Cache", "Cf-Cache-Status", "X-Cache-Status"} {
		if said = again.Header.Get(name); said != "" {
			break
		}
	}
	if strings.Contains(strings.ToLower(said), "miss") {
		p.say("x-rid", judge.Warn(hintRID, "%s with a second id in the URL: each id seems to make a copy of its own", said))
		return
	}
	p.say("x-rid", judge.Good("the store ignores the id"))
}

// hintRID says what to do when a store does not ignore the id.
const hintRID = "keep the query out of the CDN's cache key, or remove requestID from the store"

// reads makes the checks on a blob that the store holds.
func (p *storeProbe) reads(ctx context.Context, b judge.Blob) {
	url := at(p.url, b.Digest.String())
	var content []byte
	if b.Size <= p.opts.MaxBlob {
		// The request is that of a runtime: a server that compresses on the fly does it here.
		ans := p.get(ctx, url, b.Size, 0, map[string]string{"Accept-Encoding": "gzip"})
		v := judge.Whole(ans, b)
		p.read("get", v)
		if ans.Status != http.StatusOK || ans.Err != nil {
			return // range checks would give the same result
		}
		if v.Result != Failed {
			content = ans.Body
			p.say("cache-control", judge.Caching(ans))
		}
	}
	p.ranges(ctx, url, b, content, 0)
}
