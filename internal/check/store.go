package check

import (
	"context"
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
}

func newStoreProbe(s config.Store, opts *Options) *storeProbe {
	p := &storeProbe{
		probe: probe{kind: kindStore, name: s.Name, opts: opts, families: families(s.Families),
			lenient: s.State == config.Filling},
		url: s.URL, state: s.State,
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
