package probe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/oci"
)

var acceptHeader = map[string]string{"Accept": judge.Accept}

// image is what a tag led to.
type image struct {
	ref    judge.Ref
	digest oci.Digest
	// manifests has all manifests below the tag, by digest, indexes included; the root is first.
	manifests []manifest
	// pulled are the image manifests of the platforms that are pulled.
	pulled []manifest
}

type manifest struct {
	digest oci.Digest
	doc    judge.Document
	size   int64
}

// blobs returns the config and layers of the manifests, each once, smallest first.
func blobs(of []manifest) []judge.Blob {
	var out []judge.Blob
	seen := map[judge.Blob]bool{}
	for _, m := range of {
		if m.doc.Config == nil {
			continue
		}
		for _, b := range m.doc.Blobs() {
			if !seen[b] {
				seen[b] = true
				out = append(out, b)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b judge.Blob) int { return int(min(1, max(-1, a.Size-b.Size))) })
	return out
}

func manifestPath(name, reference string) string { return "/v2/" + name + "/manifests/" + reference }
func blobPath(name string, d oci.Digest) string  { return "/v2/" + name + "/blobs/" + d.String() }

// resolve follows an image from its tag to its manifests, as a runtime does: HEAD of the tag, then the manifest by
// digest, then those of the platforms.
func (s *session) resolve(ctx context.Context, ref judge.Ref) (*image, bool) {
	what := ref.String()
	im := &image{ref: ref, digest: ref.Digest}
	if im.digest.IsZero() {
		began := s.meter.begin(ctx)
		ans := s.follow(ctx, http.MethodHead, manifestPath(ref.Name, ref.Tag), 0, acceptHeader)
		if s.spent(ctx, "tag", what, s.base, ans.Err) {
			return nil, false
		}
		v := judge.ManifestHead(ans, oci.Digest{})
		d, err := oci.ParseDigest(ans.Header.Get("Docker-Content-Digest"))
		if v.Result != judge.Failed && err != nil {
			v = judge.Fail("the registry must name the digest of a tag: runtimes pull by it", "HEAD of the tag gives no digest")
		}
		if v.Result == judge.Failed && ans.Err == nil && ans.Status == http.StatusNotFound {
			v = judge.Fail("name an image that exists with --image", "404 for the tag")
		}
		s.say("tag", what, s.base, began, v)
		if err != nil || v.Result == judge.Failed {
			return nil, false
		}
		im.digest = d
		s.agrees(what, began, d)
	}
	root, ok := s.manifestAs(ctx, "manifest", what, ref.Name, im.digest)
	if !ok {
		return nil, false
	}
	im.manifests = append(im.manifests, root)
	s.headEqualsGet(ctx, im, root)
	s.children(ctx, im, root, 0)
	if root.doc.Config != nil {
		im.pulled = im.manifests[:1]
	}
	return im, true
}

// agrees compares what a tag leads to for this class with what it led to for the first.
func (s *session) agrees(image string, began time.Time, d oci.Digest) {
	s.mu.Lock()
	first, known := s.digests[image]
	if !known {
		s.digests[image] = d
	}
	s.mu.Unlock()
	if !known {
		return
	}
	v := judge.Good("the same digest as for %s", Self.Name)
	if first != d {
		v = judge.Fail("wait for the replication of the registries behind the name, or set lag: of the upstream that is behind",
			"the tag leads to %.19s…, but to %.19s… for %s", d, first, Self.Name)
	}
	s.say("tag.same", image, s.base, began, v)
}

// maxManifests is how many manifests below one tag are read.
const maxManifests = 500

// children reads the manifests of an index: those of the wanted platforms, which are pulled, and the others, which must
// be there too.
func (s *session) children(ctx context.Context, im *image, index manifest, depth int) {
	for _, d := range index.doc.Manifests {
		digest, err := oci.ParseDigest(d.Digest)
		if s.over(ctx) || len(im.manifests) > maxManifests {
			return
		}
		if err != nil || depth > 2 || slices.ContainsFunc(im.manifests, func(m manifest) bool { return m.digest == digest }) {
			continue
		}
		wanted := s.wants(d.Platform.OS, d.Platform.Architecture)
		if !wanted && s.as != Self {
			continue // what a place decides does not depend on the platform
		}
		id := "manifest"
		if !wanted {
			id = idCoherent
		}
		m, ok := s.manifestAs(ctx, id, im.ref.String(), im.ref.Name, digest)
		if !ok {
			continue
		}
		im.manifests = append(im.manifests, m)
		if m.doc.Config != nil && wanted {
			im.pulled = append(im.pulled, m)
		}
		s.children(ctx, im, m, depth+1)
	}
}

// wants reports whether the images of a platform are pulled. Attestations have the platform unknown/unknown.
func (s *session) wants(os, arch string) bool {
	return len(s.opt.Platforms) == 0 && os != "unknown" || slices.Contains(s.opt.Platforms, os+"/"+arch)
}

// follow asks the registry, and where it redirects to.
func (s *session) follow(ctx context.Context, method, path string, limit int64, header map[string]string) judge.Answer {
	ans := s.registry(ctx, method, path, limit, header)
	if ans.Err != nil || ans.Location == nil || ans.Status/100 != 3 {
		return ans
	}
	to, v := s.target(ans, path)
	if to == nil || v.Result == judge.Failed {
		return ans
	}
	return s.blob(ctx, method, to, limit, header)
}

// manifestAs reads a manifest by digest and compares its bytes. It reports faults as those of the check id.
func (s *session) manifestAs(ctx context.Context, id, what, name string, d oci.Digest) (manifest, bool) {
	began := s.meter.begin(ctx)
	ans := s.follow(ctx, http.MethodGet, manifestPath(name, d.String()), judge.MaxManifest, acceptHeader)
	if s.spent(ctx, id, what, s.base, ans.Err) {
		return manifest{}, false
	}
	v, bad := judge.Trouble(ans)
	var doc judge.Document
	switch {
	case bad:
		v.Detail += fmt.Sprintf(" (manifest %.19s…)", d)
	case ans.Status != http.StatusOK:
		v = judge.Fail("the registry behind the proxy must have every manifest that it names: look at explain for this path",
			"%d for the manifest %.19s…", ans.Status, d)
	case judge.Sum(d, ans.Body) != d:
		v = judge.Fail("look for a front that changes bodies, or for a registry that is broken", "the bytes of the manifest %.19s… are others", d)
	default:
		var err error
		if doc, err = judge.ParseManifest(ans.Body); err != nil {
			v = judge.Fail("push the image again", "%.19s…: %v", d, err)
			break
		}
		v = judge.Good("%.19s…", d)
	}
	s.record(id, what, s.base, began, int64(len(ans.Body)), v)
	return manifest{d, doc, int64(len(ans.Body))}, v.Result == judge.OK
}

// headEqualsGet compares HEAD and GET of a manifest. GET was made already.
func (s *session) headEqualsGet(ctx context.Context, im *image, m manifest) {
	began := s.meter.begin(ctx)
	ans := s.follow(ctx, http.MethodHead, manifestPath(im.ref.Name, m.digest.String()), 0, acceptHeader)
	if s.spent(ctx, "head", im.ref.String(), s.base, ans.Err) {
		return
	}
	v := judge.ManifestHead(ans, m.digest)
	if v.Result == judge.OK && ans.Length != m.size {
		v = judge.Fail("look for a front that answers HEAD by itself", "HEAD says %d bytes, GET gives %d", ans.Length, m.size)
	}
	s.say("head", im.ref.String(), s.base, began, v)
}

// locate asks where the registry sends this client for a blob, once for each blob. Runtimes use GET. Without an identity a
// monitor that reads no layers uses HEAD: its GETs, again and again, would look like downloads that fail.
func (s *session) locate(ctx context.Context, im *image, b judge.Blob) (*url.URL, bool) {
	began := s.meter.begin(ctx)
	path := blobPath(im.ref.Name, b.Digest)
	method := http.MethodGet
	if s.opt.Decisions && !s.signed {
		method = http.MethodHead
	}
	ans := s.registry(ctx, method, path, 4096, nil)
	if s.spent(ctx, idRedirect, im.ref.String(), s.base, ans.Err) {
		return nil, false
	}
	to, v := s.target(ans, path)
	if v.Result == judge.OK {
		v.Detail = fmt.Sprintf("%d for %s to %s", ans.Status, b, to.Host)
	}
	s.say(idRedirect, im.ref.String(), to, began, v)
	if to == nil || v.Result == judge.Failed {
		return nil, false
	}
	if cc := ans.Header.Get("Cache-Control"); to.Host != s.base.Host {
		v := judge.Good("%s", cc)
		if cc != "no-store" {
			v = judge.Warn("a cache in front of the proxy must not give one client the redirect of another: have the front pass no-store on",
				"the redirect has Cache-Control %q, want no-store", cc)
		}
		s.say("cache-control", im.ref.String(), s.base, began, v)
	}
	s.compare(ctx, im, path, to)
	return to, true
}

// compare compares a redirect with what the config says.
func (s *session) compare(ctx context.Context, im *image, path string, to *url.URL) {
	if s.opt.Explain == nil || !s.as.Addr.IsValid() {
		return
	}
	began := time.Now()
	want, err := s.opt.Explain(ctx, s.as.Addr, s.base.Hostname(), path)
	if err != nil {
		s.say("decision", im.ref.String(), to, began, judge.Note("the config could not be asked: %v", err))
		return
	}
	v := judge.Good("%s (%s), as the config says", want.Candidate, want.Reason)
	if sent, _, _ := strings.Cut(to.String(), "?x-rid="); want.Location != sent { // the id of a redirect is always another
		v = judge.Warn("the deployment has another config, takes the address for another place, or holds that store for broken: ask its explain",
			"sent to %s; the config says %s at %s (%s)", to.Host, want.Candidate, hostOf(want.Location), want.Reason)
	}
	s.say("decision", im.ref.String(), to, began, v)
}

func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.Host
}

// whole reads a blob completely and compares its digest. It keeps only the hash.
func (s *session) whole(ctx context.Context, im *image, at *url.URL, b judge.Blob) bool {
	began := s.meter.begin(ctx)
	resp, cancel, err := s.open(ctx, at, nil, b.Size)
	var n int64
	var first time.Duration
	var v judge.Verdict
	switch {
	case s.spent(ctx, idLayer, im.ref.String(), at, err):
		return false
	case err != nil:
		v, _ = judge.Trouble(judge.Answer{Err: err})
	case resp.StatusCode != http.StatusOK:
		v = judge.Fail("the store must hold what its inventory lists: look at explain and at the store", "%d for %s", resp.StatusCode, b)
	default:
		first = time.Since(began)
		h := b.Digest.Hash()
		n, err = io.Copy(h, io.LimitReader(resp.Body, b.Size+1))
		switch {
		case s.spent(ctx, idLayer, im.ref.String(), at, err):
			_ = resp.Body.Close()
			cancel()
			return false
		case err != nil:
			v = judge.Fail(judge.HintNetwork, "%s breaks off after %d bytes: %v", b, n, err)
		case n != b.Size:
			v = judge.Fail(judge.HintBytes, "%d bytes or more came for %s", n, b)
		case !b.Digest.Matches(h):
			v = judge.Fail(judge.HintBytes, "the bytes of %s are others", b)
		default:
			v = judge.Good("%s, digest verified", b)
		}
	}
	if resp != nil {
		_ = resp.Body.Close()
		cancel()
	}
	s.record(idLayer, im.ref.String(), at, began, n, v)
	if v.Result != judge.OK {
		return false
	}
	s.fast(im, at, b, first, time.Since(began))
	return true
}

// fast remembers how fast a blob came.
func (s *session) fast(im *image, at *url.URL, b judge.Blob, first, took time.Duration) {
	s.mu.Lock()
	if h := s.hosts[at.Host]; h != nil {
		h.waits = append(h.waits, first)
		if b.Size > h.size && took > 0 {
			h.size, h.perSecond = b.Size, float64(b.Size)/took.Seconds()
		}
	}
	s.mu.Unlock()
	v := judge.Good("first byte after %s, %s in %s", first.Round(time.Millisecond), judge.Size(b.Size), took.Round(time.Millisecond))
	if first > time.Second {
		v = judge.Warn("compare with other vantage points: is the store near, and is the network busy?",
			"the first byte came after %s", first.Round(time.Millisecond))
	}
	s.record("speed", im.ref.String(), at, time.Now().Add(-took), b.Size, v)
}

// small reads the first bytes of a blob: enough to see that the host serves it.
func (s *session) small(ctx context.Context, im *image, at *url.URL, b judge.Blob) {
	began := s.meter.begin(ctx)
	to := min(b.Size, firstBytes) - 1
	ans := s.blob(ctx, http.MethodGet, at, firstBytes, map[string]string{"Range": "bytes=0-" + strconv.FormatInt(to, 10)})
	if s.spent(ctx, "blob", im.ref.String(), at, ans.Err) {
		return
	}
	v := judge.Ranged(ans, b, judge.Span{From: 0, To: to}, nil)
	if v.Result == judge.OK && to == b.Size-1 && judge.Sum(b.Digest, ans.Body) != b.Digest {
		v = judge.Fail(judge.HintBytes, "the bytes of %s are others", b)
	}
	s.record("blob", im.ref.String(), at, began, int64(len(ans.Body)), v)
}

// These are what decisions read. They are small, because a monitor asks as many classes of clients all day. No range of a
// decision is larger than 64 KiB.
const (
	firstBytes   = 4 << 10  // of each blob
	smallRange   = 16 << 10 // of a blob of each host, by the checks of ranges
	decisionBlob = 64 << 10 // the largest blob that a decision reads whole, to resume it
)

// headBlob compares HEAD of a blob with its manifest.
func (s *session) headBlob(ctx context.Context, im *image, at *url.URL, b judge.Blob) {
	began := s.meter.begin(ctx)
	ans := s.blob(ctx, http.MethodHead, at, 0, nil)
	if !s.spent(ctx, "head", im.ref.String(), at, ans.Err) {
		s.say("head", im.ref.String(), at, began, judge.Head(ans, b))
	}
}
