package check

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/strictjson"
)

const (
	maxManifest = 8 << 20 // the limit of the proxy's own relay
	// maxRedirects is how far clients follow a registry to its own blob storage.
	maxRedirects = 5

	hintRegistry   = "check scheme, host and port of the URL; a path belongs into prefix"
	hintManifest   = "the upstream must give image manifests and indexes to anyone who names one; check url and prefix"
	hintImage      = "name an image that exists with --image NAME[:TAG]; the upstream's prefix is put before the name"
	hintRedirector = "put the registries and stores that it redirects to into the config, in its place; or let it answer 404 for what it does not hold"
	hintDigest     = "a registry that changes manifests on the way cannot be used: runtimes check the digest"
)

// sample is an image that the canonical upstream has, and that other targets are asked for.
type sample struct {
	ref    ref
	digest oci.Digest // of the image manifest (of the index's child, if there was an index)
	blobs  []blob     // smallest first, never empty
}

// upstreamProbe asks one upstream.
type upstreamProbe struct {
	probe
	base  string // URL with the prefix, without a slash at the end
	root  string // URL of the registry's API
	state config.State
	// hops is how many redirects are followed in requests for content that does not exist. The canonical upstream has
	// everything, so its redirects are followed. Any other upstream is asked what it has, and a redirect to a place
	// that might have it does not answer that.
	hops int
}

func newUpstreamProbe(u config.Upstream, opts *Options) *upstreamProbe {
	root := strings.TrimSuffix(u.URL, "/") + "/v2/"
	base := strings.TrimSuffix(root, "/")
	if u.Prefix != "" {
		base += "/" + u.Prefix
	}
	hops := 0
	if u.Canonical {
		hops = maxRedirects
	}
	return &upstreamProbe{
		hops: hops,
		probe: probe{kind: kindUpstream, name: u.Name, opts: opts, families: families(u.Families),
			lenient: u.State == config.Filling},
		base: base, root: root, state: u.State,
	}
}

func (p *upstreamProbe) manifestURL(name, reference string) string {
	return p.base + "/" + name + "/manifests/" + reference
}

func (p *upstreamProbe) blobURL(name, digest string) string {
	return p.base + "/" + name + "/blobs/" + digest
}

var acceptHeader = map[string]string{"Accept": accept}

// open connects, and asks for content that does not exist, in repository name (a made-up one when name is "").
func (p *upstreamProbe) open(ctx context.Context, name string) bool {
	if p.state == config.Off {
		p.say("state", stateNote(p.state))
		return false
	}
	if name == "" {
		name = "oci-proxy-check/" + madeUp()[len("sha256:"):][:12]
	}
	nowhere := madeUp()
	if !p.connect(ctx, p.manifestURL(name, nowhere)) {
		return false
	}
	p.say("absent.manifest", p.anonymous(p.redirector(absent(p.get(ctx, p.manifestURL(name, nowhere), 4096, p.hops, acceptHeader)))))
	p.say("absent.blob", p.anonymous(p.redirector(absent(p.head(ctx, p.blobURL(name, nowhere), p.hops, nil)))))
	return true
}

// registry judges the answer to a request for the root of the API. Without an image to ask for, nothing else shows
// whether a registry answers: any web server says 404. A registry may want a login for the root although images need
// none.
func (p *upstreamProbe) registry(ans answer) verdict {
	switch {
	case ans.err == nil && ans.status == http.StatusOK && !ans.isHTML():
		return ok("200 for /v2/")
	case ans.err == nil && ans.status == http.StatusUnauthorized:
		return ok("401 for /v2/: the registry wants a login there; whether images need one shows with --image")
	}
	if v, bad := trouble(ans); bad {
		return v
	}
	return verdict{Failed, fmt.Sprintf("%d for /v2/: this is no registry", ans.status), hintRegistry}
}

// redirector words the verdict on a replica that redirects requests for content that does not exist.
func (p *upstreamProbe) redirector(v verdict) verdict {
	if v.hint == hintRedirect && p.hops == 0 {
		v.detail += " for a digest that does not exist: it redirects whatever is asked for, so the proxy trusts none of its redirects"
		v.hint = hintRedirector
	}
	return v
}

// anonymous words the hints on a required login, and on the URL, for a registry.
func (p *upstreamProbe) anonymous(v verdict) verdict {
	switch v.hint {
	case hintAnonymous:
		v.hint = "clients have no credentials, and the proxy asks for no token for them: make the repositories readable by anyone"
	case hintAbsent:
		v.hint = hintRegistry
	}
	return v
}

// canonical makes all checks, and returns the images whose blobs could be found.
func (p *upstreamProbe) canonical(ctx context.Context, refs []ref) []sample {
	name := ""
	if len(refs) > 0 {
		name = refs[0].name
	}
	if !p.open(ctx, name) {
		return nil
	}
	if len(refs) == 0 {
		p.say("api", p.registry(p.get(ctx, p.root, 4096, p.hops, nil)))
	}
	var samples []sample
	for _, r := range refs {
		if r.tag == "" && r.digest.IsZero() {
			r.tag = p.someTag(ctx, r.name)
		}
		if s, found := p.walk(ctx, r); found {
			samples = append(samples, s)
			p.blobs(ctx, s, true)
		}
	}
	return samples
}

// replica asks for the content that the canonical upstream has. A replica need not have every image: the proxy asks it
// before it sends a client there.
func (p *upstreamProbe) replica(ctx context.Context, samples []sample) {
	name := ""
	if len(samples) > 0 {
		name = samples[0].ref.name
	}
	if !p.open(ctx, name) {
		return
	}
	for _, s := range samples {
		url := p.manifestURL(s.ref.name, s.digest.String())
		ans := p.get(ctx, url, maxManifest, maxRedirects, acceptHeader)
		if ans.err == nil && (ans.status == http.StatusNotFound || ans.status == http.StatusForbidden) {
			p.say("manifest", verdict{Info, fmt.Sprintf("%d for %s: it is not here", ans.status, s.ref), ""})
			continue
		}
		if _, ok := p.manifest(ans, s.ref.String(), s.digest); !ok {
			continue
		}
		v := p.anonymous(manifestHead(p.head(ctx, url, 0, acceptHeader), s.digest))
		if v.hint == hintRedirect {
			v = verdict{Warning, v.detail + ": the proxy accepts no redirect for a manifest, and sends no client here for one", hintRedirector}
		}
		p.read("manifest.head", v)
		p.blobs(ctx, s, false)
	}
}

// manifest judges the answer to a request for a manifest and reports it. want may be zero.
func (p *upstreamProbe) manifest(ans answer, what string, want oci.Digest) (document, bool) {
	fail := func(hint, format string, args ...any) (document, bool) {
		p.read("manifest", verdict{Failed, fmt.Sprintf(format, args...), hint})
		return document{}, false
	}
	if v, bad := trouble(ans); bad {
		v = p.anonymous(v)
		v.detail += " (manifest of " + what + ")"
		p.read("manifest", v)
		return document{}, false
	}
	if ans.status != http.StatusOK {
		return fail(hintImage, "%d for the manifest of %s", ans.status, what)
	}
	if ans.truncated {
		return fail(hintManifest, "the manifest of %s is bigger than %s", what, size(maxManifest))
	}
	doc, err := parseManifest(ans.body)
	if err != nil {
		return fail(hintManifest, "%s: %v (%s)", what, err, ans.header.Get("Content-Type"))
	}
	if !want.IsZero() && sum(want, ans.body) != want {
		return fail(hintDigest, "the manifest of %s hashes to another digest", what)
	}
	got := ans.header.Get("Docker-Content-Digest")
	if d, err := oci.ParseDigest(got); err == nil && sum(d, ans.body) != d {
		return fail(hintDigest, "Docker-Content-Digest does not fit the manifest of %s", what)
	}
	p.read("manifest", ok("%s", what))
	return doc, true
}

// manifestHead judges the answer to a HEAD of a manifest. Runtimes get the digest of a tag from it.
func manifestHead(ans answer, want oci.Digest) verdict {
	if v, bad := trouble(ans); bad {
		return v
	}
	switch got := ans.header.Get("Docker-Content-Digest"); {
	case ans.status != http.StatusOK:
		return verdict{Failed, fmt.Sprintf("HEAD answers %d for a manifest that GET gives", ans.status), hintMethod}
	case got == "":
		return verdict{Warning, "no Docker-Content-Digest", "runtimes then read each manifest twice: have the registry send the header"}
	case !want.IsZero() && got != want.String():
		return verdict{Failed, "Docker-Content-Digest names another manifest", hintDigest}
	}
	return ok("200")
}

// walk follows r from its manifest, through indexes, to blobs.
func (p *upstreamProbe) walk(ctx context.Context, r ref) (sample, bool) {
	url := p.manifestURL(r.name, r.reference())
	ans := p.get(ctx, url, maxManifest, maxRedirects, acceptHeader)
	doc, found := p.manifest(ans, r.String(), r.digest)
	if !found {
		return sample{}, false
	}
	p.read("manifest.head", p.anonymous(manifestHead(p.head(ctx, url, maxRedirects, acceptHeader), r.digest)))
	digest := r.digest
	if digest.IsZero() {
		digest = sum(digest, ans.body)
	}
	for depth := 0; len(doc.Manifests) > 0; depth++ {
		child, err := doc.child()
		if err != nil || depth == 3 {
			p.read("manifest", verdict{Failed, fmt.Sprintf("%s: the index leads to no image", r), hintImage})
			return sample{}, false
		}
		what := fmt.Sprintf("%s, child %.19s…", r, child)
		ans := p.get(ctx, p.manifestURL(r.name, child.String()), maxManifest, maxRedirects, acceptHeader)
		if doc, found = p.manifest(ans, what, child); !found {
			return sample{}, false
		}
		digest = child
	}
	if doc.Config == nil {
		p.read("manifest", verdict{Failed, fmt.Sprintf("%s: an empty index", r), hintImage})
		return sample{}, false
	}
	s := sample{ref: r, digest: digest, blobs: doc.blobs()}
	if len(s.blobs) == 0 {
		p.read("manifest", verdict{Warning, fmt.Sprintf("%s has no blobs that a store could hold", r), hintImage})
		return sample{}, false
	}
	return s, true
}

// blobs checks the smallest and the biggest blob of s.
func (p *upstreamProbe) blobs(ctx context.Context, s sample, required bool) {
	picked := []blob{s.blobs[0]}
	if last := s.blobs[len(s.blobs)-1]; last != picked[0] {
		picked = append(picked, last)
	}
	for _, b := range picked {
		url := p.blobURL(s.ref.name, b.digest.String())
		ans := p.head(ctx, url, maxRedirects, nil)
		if !required && ans.err == nil && (ans.status == http.StatusNotFound || ans.status == http.StatusForbidden) {
			p.say("head", verdict{Info, fmt.Sprintf("%d for %s: it is not here", ans.status, b), ""})
			continue
		}
		p.read("head", p.anonymous(head(ans, b)))
		var content []byte
		if b.size <= p.opts.MaxBlob {
			ans := p.get(ctx, url, b.size, maxRedirects, map[string]string{"Accept-Encoding": "gzip"})
			v := p.anonymous(whole(ans, b))
			p.read("get", v)
			if ans.status != http.StatusOK || ans.err != nil {
				continue // range checks would give the same result
			}
			if v.result != Failed {
				content = ans.body
			}
		}
		p.ranges(ctx, url, b, content, maxRedirects)
	}
}

// someTag picks a tag of a repository: latest if it exists, otherwise the last one on the first page.
func (p *upstreamProbe) someTag(ctx context.Context, name string) string {
	ans := p.get(ctx, p.base+"/"+name+"/tags/list", maxManifest, maxRedirects, nil)
	var list struct {
		Tags []string `json:"tags"`
	}
	if ans.err != nil || ans.status != http.StatusOK || strictjson.Unmarshal(ans.body, &list, strictjson.Bounds{}) != nil {
		return "latest"
	}
	tags := slices.DeleteFunc(list.Tags, func(t string) bool {
		return !oci.ValidTag(t) || oci.StandsIn(t)
	})
	if len(tags) == 0 || slices.Contains(tags, "latest") {
		return "latest"
	}
	return tags[len(tags)-1]
}
