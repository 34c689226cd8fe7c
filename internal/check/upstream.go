package check

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/strictjson"
)

const (
	// maxRedirects is how far clients follow a registry to its own blob storage.
	maxRedirects = 5

	hintRegistry   = "check scheme, host and port of the URL; a path belongs into prefix"
	hintManifest   = "the upstream must give image manifests and indexes to anyone who names one; check url and prefix"
	hintImage      = "name an image that exists with --image NAME[:TAG]; the upstream's prefix is put before the name"
	hintRedirector = "put the registries and stores that it redirects to into the config, in its place; or let it answer 404 for what it does not hold"
)

// sample is an image that the canonical upstream has, and that other targets are asked for.
type sample struct {
	ref    judge.Ref
	digest oci.Digest   // of the image manifest (of the index's child, if there was an index)
	blobs  []judge.Blob // smallest first, never empty
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

var acceptHeader = map[string]string{"Accept": judge.Accept}

// open connects, and asks for content that does not exist, in repository name (a made-up one when name is "").
func (p *upstreamProbe) open(ctx context.Context, name string) bool {
	if p.state == config.Off {
		p.say("state", stateNote(p.state))
		return false
	}
	if name == "" {
		name = "oci-proxy-check/" + judge.MadeUp()[len("sha256:"):][:12]
	}
	nowhere := judge.MadeUp()
	if !p.connect(ctx, p.manifestURL(name, nowhere)) {
		return false
	}
	p.say("absent.manifest", p.anonymous(p.redirector(judge.Absent(p.get(ctx, p.manifestURL(name, nowhere), 4096, p.hops, acceptHeader)))))
	p.say("absent.blob", p.anonymous(p.redirector(judge.Absent(p.head(ctx, p.blobURL(name, nowhere), p.hops, nil)))))
	return true
}

// registry judges the answer to a request for the root of the API. Without an image to ask for, nothing else shows
// whether a registry answers: any web server says 404. A registry may want a login for the root although images need
// none.
func (p *upstreamProbe) registry(ans judge.Answer) judge.Verdict {
	switch {
	case ans.Err == nil && ans.Status == http.StatusOK && !ans.IsHTML():
		return judge.Good("200 for /v2/")
	case ans.Err == nil && ans.Status == http.StatusUnauthorized:
		return judge.Good("401 for /v2/: the registry wants a login there; whether images need one shows with --image")
	}
	if v, bad := judge.Trouble(ans); bad {
		return v
	}
	return judge.Fail(hintRegistry, "%d for /v2/: this is no registry", ans.Status)
}

// redirector words the verdict on a replica that redirects requests for content that does not exist.
func (p *upstreamProbe) redirector(v judge.Verdict) judge.Verdict {
	if v.Hint == judge.HintRedirect && p.hops == 0 {
		v.Detail += " for a digest that does not exist: it redirects whatever is asked for, so the proxy trusts none of its redirects"
		v.Hint = hintRedirector
	}
	return v
}

// anonymous words the hints on a required login, and on the URL, for a registry.
func (p *upstreamProbe) anonymous(v judge.Verdict) judge.Verdict {
	switch v.Hint {
	case judge.HintAnonymous:
		v.Hint = "clients have no credentials, and the proxy asks for no token for them: make the repositories readable by anyone"
	case judge.HintAbsent:
		v.Hint = hintRegistry
	}
	return v
}

// canonical makes all checks, and returns the images whose blobs could be found.
func (p *upstreamProbe) canonical(ctx context.Context, refs []judge.Ref) []sample {
	name := ""
	if len(refs) > 0 {
		name = refs[0].Name
	}
	if !p.open(ctx, name) {
		return nil
	}
	if len(refs) == 0 {
		p.say("api", p.registry(p.get(ctx, p.root, 4096, p.hops, nil)))
	}
	var samples []sample
	for _, r := range refs {
		if r.Tag == "" && r.Digest.IsZero() {
			r.Tag = p.someTag(ctx, r.Name)
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
		name = samples[0].ref.Name
	}
	if !p.open(ctx, name) {
		return
	}
	for _, s := range samples {
		url := p.manifestURL(s.ref.Name, s.digest.String())
		ans := p.get(ctx, url, judge.MaxManifest, maxRedirects, acceptHeader)
		if ans.Err == nil && (ans.Status == http.StatusNotFound || ans.Status == http.StatusForbidden) {
			p.say("manifest", judge.Note("%d for %s: it is not here", ans.Status, s.ref))
			continue
		}
		if _, ok := p.manifest(ans, s.ref.String(), s.digest); !ok {
			continue
		}
		v := p.anonymous(judge.ManifestHead(p.head(ctx, url, 0, acceptHeader), s.digest))
		if v.Hint == judge.HintRedirect {
			v = judge.Verdict{Result: Warning, Detail: v.Detail + ": the proxy accepts no redirect for a manifest, and sends no client here for one", Hint: hintRedirector}
		}
		p.read("manifest.head", v)
		p.blobs(ctx, s, false)
	}
}

// manifest judges the answer to a request for a manifest and reports it. want may be zero.
func (p *upstreamProbe) manifest(ans judge.Answer, what string, want oci.Digest) (judge.Document, bool) {
	fail := func(hint, format string, args ...any) (judge.Document, bool) {
		p.read("manifest", judge.Fail(hint, format, args...))
		return judge.Document{}, false
	}
	if v, bad := judge.Trouble(ans); bad {
		v = p.anonymous(v)
		v.Detail += " (manifest of " + what + ")"
		p.read("manifest", v)
		return judge.Document{}, false
	}
	if ans.Status != http.StatusOK {
		return fail(hintImage, "%d for the manifest of %s", ans.Status, what)
	}
	if ans.Truncated {
		return fail(hintManifest, "the manifest of %s is bigger than %s", what, judge.Size(judge.MaxManifest))
	}
	doc, err := judge.ParseManifest(ans.Body)
	if err != nil {
		return fail(hintManifest, "%s: %v (%s)", what, err, ans.Header.Get("Content-Type"))
	}
	if !want.IsZero() && judge.Sum(want, ans.Body) != want {
		return fail(judge.HintDigest, "the manifest of %s hashes to another digest", what)
	}
	got := ans.Header.Get("Docker-Content-Digest")
	if d, err := oci.ParseDigest(got); err == nil && judge.Sum(d, ans.Body) != d {
		return fail(judge.HintDigest, "Docker-Content-Digest does not fit the manifest of %s", what)
	}
	p.read("manifest", judge.Good("%s", what))
	return doc, true
}

// walk follows r from its manifest, through indexes, to blobs.
func (p *upstreamProbe) walk(ctx context.Context, r judge.Ref) (sample, bool) {
	url := p.manifestURL(r.Name, r.Reference())
	ans := p.get(ctx, url, judge.MaxManifest, maxRedirects, acceptHeader)
	doc, found := p.manifest(ans, r.String(), r.Digest)
	if !found {
		return sample{}, false
	}
	p.read("manifest.head", p.anonymous(judge.ManifestHead(p.head(ctx, url, maxRedirects, acceptHeader), r.Digest)))
	digest := r.Digest
	if digest.IsZero() {
		digest = judge.Sum(digest, ans.Body)
	}
	for depth := 0; len(doc.Manifests) > 0; depth++ {
		child, err := doc.Child()
		if err != nil || depth == 3 {
			p.read("manifest", judge.Fail(hintImage, "%s: the index leads to no image", r))
			return sample{}, false
		}
		what := fmt.Sprintf("%s, child %.19s…", r, child)
		ans := p.get(ctx, p.manifestURL(r.Name, child.String()), judge.MaxManifest, maxRedirects, acceptHeader)
		if doc, found = p.manifest(ans, what, child); !found {
			return sample{}, false
		}
		digest = child
	}
	if doc.Config == nil {
		p.read("manifest", judge.Fail(hintImage, "%s: an empty index", r))
		return sample{}, false
	}
	s := sample{ref: r, digest: digest, blobs: doc.Blobs()}
	if len(s.blobs) == 0 {
		p.read("manifest", judge.Warn(hintImage, "%s has no blobs that a store could hold", r))
		return sample{}, false
	}
	return s, true
}

// blobs checks the smallest and the biggest blob of s.
func (p *upstreamProbe) blobs(ctx context.Context, s sample, required bool) {
	picked := []judge.Blob{s.blobs[0]}
	if last := s.blobs[len(s.blobs)-1]; last != picked[0] {
		picked = append(picked, last)
	}
	for _, b := range picked {
		url := p.blobURL(s.ref.Name, b.Digest.String())
		ans := p.head(ctx, url, maxRedirects, nil)
		if !required && ans.Err == nil && (ans.Status == http.StatusNotFound || ans.Status == http.StatusForbidden) {
			p.say("head", judge.Note("%d for %s: it is not here", ans.Status, b))
			continue
		}
		p.read("head", p.anonymous(judge.Head(ans, b)))
		var content []byte
		if b.Size <= p.opts.MaxBlob {
			ans := p.get(ctx, url, b.Size, maxRedirects, map[string]string{"Accept-Encoding": "gzip"})
			v := p.anonymous(judge.Whole(ans, b))
			p.read("get", v)
			if ans.Status != http.StatusOK || ans.Err != nil {
				continue // range checks would give the same result
			}
			if v.Result != Failed {
				content = ans.Body
			}
		}
		p.ranges(ctx, url, b, content, maxRedirects)
	}
}

// someTag picks a tag of a repository: latest if it exists, otherwise the last one on the first page.
func (p *upstreamProbe) someTag(ctx context.Context, name string) string {
	ans := p.get(ctx, p.base+"/"+name+"/tags/list", judge.MaxManifest, maxRedirects, nil)
	var list struct {
		Tags []string `json:"tags"`
	}
	if ans.Err != nil || ans.Status != http.StatusOK || strictjson.Unmarshal(ans.Body, &list, strictjson.Bounds{}) != nil {
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
