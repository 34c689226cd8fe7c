package check

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/dustin/go-humanize/english"

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
	nowhere := madeUp()
	if !p.connect(ctx, at(p.url, nowhere)) {
		return false
	}
	ans := p.get(ctx, at(p.url, nowhere), 4096, 0, nil)
	if v, none := noBucket(ans); none {
		p.say("absent.get", v)
		return false
	}
	p.say("absent.get", absent(ans))
	p.say("absent.head", absent(p.head(ctx, at(p.url, nowhere), 0, nil)))
	if p.check != "" {
		p.say("check.absent", absent(p.head(ctx, at(p.check, nowhere), 0, nil)))
	}
	if len(samples) > 0 {
		p.images(ctx, samples)
	}
	return true
}

// images reads blobs of images that the canonical upstream has.
func (p *storeProbe) images(ctx context.Context, samples []sample) {
	small, big := p.find(ctx, samples)
	if small.digest.IsZero() {
		return
	}
	p.reads(ctx, small)
	if big != small {
		p.reads(ctx, big)
	}
	if p.check != "" {
		p.read("check.head", head(p.head(ctx, at(p.check, small.digest.String()), 0, nil), small))
	}
}

// find asks by HEAD which blobs of the samples the store holds, and returns the smallest and the biggest of them. Both
// are zero when there is none, and find has reported that.
func (p *storeProbe) find(ctx context.Context, samples []sample) (small, big blob) {
	var missing []int
	var nearMiss verdict
	tries := 0
	for _, s := range samples {
		for _, b := range s.blobs {
			if tries == maxTries {
				break
			}
			tries++
			ans := p.head(ctx, at(p.url, b.digest.String()), 0, nil)
			if ans.err == nil && (ans.status == http.StatusNotFound || ans.status == http.StatusForbidden) {
				missing = append(missing, ans.status)
				continue
			}
			v := head(ans, b)
			if v.result == Failed && ans.status != http.StatusOK {
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
		nearMiss = verdict{Warning, "404 for " + english.Plural(len(missing), "blob", "") + ", all that were asked for: the read checks were not made", hintMirror}
	} else {
		nearMiss = verdict{Failed, fmt.Sprintf("403 for %d of %s that the canonical upstream has", n403, english.Plural(len(missing), "blob", "")), hintMissing}
	}
	p.read("head", nearMiss)
	return blob{}, blob{}
}

// biggest returns the biggest blob of s that the store holds, or small if it finds no bigger one.
func (p *storeProbe) biggest(ctx context.Context, s sample, small blob) blob {
	for i := len(s.blobs) - 1; i >= max(0, len(s.blobs)-3); i-- {
		b := s.blobs[i]
		if b == small {
			break
		}
		if ans := p.head(ctx, at(p.url, b.digest.String()), 0, nil); ans.err == nil && ans.status == http.StatusOK {
			p.read("head", head(ans, b))
			return b
		}
	}
	return small
}

// reads makes the checks on a blob that the store holds.
func (p *storeProbe) reads(ctx context.Context, b blob) {
	url := at(p.url, b.digest.String())
	var content []byte
	if b.size <= p.opts.MaxBlob {
		// The request is that of a runtime: a server that compresses on the fly does it here.
		ans := p.get(ctx, url, b.size, 0, map[string]string{"Accept-Encoding": "gzip"})
		v := whole(ans, b)
		p.read("get", v)
		if ans.status != http.StatusOK || ans.err != nil {
			return // range checks would give the same result
		}
		if v.result != Failed {
			content = ans.body
			p.say("cache-control", caching(ans))
		}
	}
	p.ranges(ctx, url, b, content, 0)
}
