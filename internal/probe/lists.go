package probe

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/oci"
	"ociproxy/internal/strictjson"
)

// maxPages and maxTags are how much of a list of tags is read.
const (
	maxPages = 1000
	maxTags  = 200_000
)

// Tags reads the tags of a repository to the end of the list. more says that the list was longer than maxPages.
func (s *session) readTags(ctx context.Context, name string) (tags []string, more bool, fault judge.Verdict, err error) {
	next := "/v2/" + name + "/tags/list"
	seen, have := map[string]bool{}, map[string]bool{}
	for range maxPages {
		if seen[next] {
			return tags, false, judge.Fail("look at the Link headers of the list: a page leads back to an earlier one",
				"the list of tags loops at %.80s", next), nil
		}
		seen[next] = true
		ans := s.follow(ctx, http.MethodGet, next, judge.MaxManifest, nil)
		if ans.Err != nil && ended(ctx, ans.Err) {
			return tags, false, judge.Verdict{}, ans.Err
		}
		if v, bad := judge.Trouble(ans); bad {
			return tags, false, v, nil
		}
		if ans.Status != http.StatusOK {
			return tags, false, judge.Fail(hintRegistry, "%d for a page of the list of tags", ans.Status), nil
		}
		var page struct {
			Tags []string `json:"tags"`
		}
		if err := strictjson.Unmarshal(ans.Body, &page, strictjson.Bounds{Bytes: judge.MaxManifest}); err != nil {
			return tags, false, judge.Fail(hintRegistry, "a page of the list of tags is no list: %v", err), nil
		}
		for _, t := range page.Tags {
			if have[t] {
				return tags, false, judge.Fail("look at the registry's pagination: it repeats tags, or a page leads back to an earlier one",
					"the list of tags has %q twice", t), nil
			}
			have[t] = true
			tags = append(tags, t)
		}
		if len(tags) > maxTags {
			return tags, true, judge.Verdict{}, nil
		}
		link, v := s.nextPage(ans)
		if link == "" {
			return tags, false, v, nil
		}
		next = link
	}
	return tags, true, judge.Verdict{}, nil
}

// nextPage returns the path and query of the next page, "" when there is none. The verdict is set when the link leads
// away from the registry's name.
func (s *session) nextPage(ans judge.Answer) (string, judge.Verdict) {
	link := ans.Header.Get("Link")
	if link == "" {
		return "", judge.Verdict{}
	}
	target, rest, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !ok || !strings.Contains(rest, "next") {
		return "", judge.Fail(hintRegistry, "the Link header %.80q is not one to a next page", link)
	}
	to, err := s.base.Parse(target)
	if err != nil || to.Host != s.base.Host {
		return "", judge.Fail("the proxy must rewrite the links of lists: clients would leave the name",
			"the next page of tags is at another host: %.80q", link)
	}
	return to.RequestURI(), judge.Verdict{}
}

func (s *session) tags(ctx context.Context, ref judge.Ref) {
	began := s.meter.begin(ctx)
	tags, more, v, err := s.readTags(ctx, ref.Name)
	if s.spent(ctx, idTags, ref.Name, s.base, err) {
		return
	}
	switch {
	case v.Result != "":
	case more:
		v = judge.Warn("give a repository with fewer tags, or accept it", "more than %d tags or %d pages; the rest was not read", maxTags, maxPages)
	case ref.Tag != "" && !slices.Contains(tags, ref.Tag):
		v = judge.Fail("the list is older than the tag, or of another registry: look at the lag of replicas", "the tag %s is not in the list", ref.Tag)
	default:
		v = judge.Good("%d tags", len(tags))
	}
	s.say(idTags, ref.Name, s.base, began, v)
}

// referrers is the answer to a request for referrers: an index.
type referrers struct {
	Manifests []struct {
		Digest       string `json:"digest"`
		ArtifactType string `json:"artifactType"`
	} `json:"manifests"`
}

// signatures follows what refers to an image: the list of referrers, and cosign's tags. All that they name must be there.
func (s *session) signatures(ctx context.Context, im *image) {
	began := s.meter.begin(ctx)
	what := im.ref.String()
	found := 0
	fail := func(v judge.Verdict) { s.say("signature", what, s.base, began, v) }
	ans := s.follow(ctx, http.MethodGet, "/v2/"+im.ref.Name+"/referrers/"+im.digest.String(), judge.MaxManifest, acceptHeader)
	if s.spent(ctx, "signature", what, s.base, ans.Err) {
		return
	}
	if v, bad := judge.Trouble(ans); bad {
		fail(v)
		return
	}
	var list referrers
	switch {
	case ans.Status == http.StatusNotFound: // the specification's fallback is a tag
		tag := im.digest.Algorithm() + "-" + im.digest.Hex()
		if ans = s.follow(ctx, http.MethodGet, manifestPath(im.ref.Name, tag), judge.MaxManifest, acceptHeader); ans.Err == nil && ans.Status == http.StatusOK {
			_ = strictjson.Unmarshal(ans.Body, &list, strictjson.Bounds{Bytes: judge.MaxManifest})
		}
	case ans.Status != http.StatusOK, strictjson.Unmarshal(ans.Body, &list, strictjson.Bounds{Bytes: judge.MaxManifest}) != nil:
		fail(judge.Fail(hintRegistry, "%d for the list of referrers, or no list", ans.Status))
		return
	}
	for _, m := range list.Manifests {
		d, err := oci.ParseDigest(m.Digest)
		if err != nil {
			continue
		}
		found++
		if v := s.complete(ctx, im.ref.Name, d.String(), d); v.Result != judge.OK {
			fail(v)
			return
		}
	}
	for _, suffix := range []string{"sig", "att"} {
		tag := fmt.Sprintf("%s-%s.%s", im.digest.Algorithm(), im.digest.Hex(), suffix)
		head := s.follow(ctx, http.MethodHead, manifestPath(im.ref.Name, tag), 0, acceptHeader)
		if head.Err != nil || head.Status != http.StatusOK {
			continue
		}
		found++
		if v := s.complete(ctx, im.ref.Name, tag, oci.Digest{}); v.Result != judge.OK {
			fail(v)
			return
		}
	}
	v := judge.Good("%d signatures and referrers, complete", found)
	switch {
	case found > 0:
	case s.opt.Signed:
		v = judge.Fail("sign and promote the image, or leave out --signed", "the image has no signature and no referrer")
	default:
		v = judge.Note("the image has no signature and no referrer")
	}
	fail(v)
}

// complete reads a manifest and asks for all that it names.
func (s *session) complete(ctx context.Context, name, reference string, want oci.Digest) judge.Verdict {
	const hint = "mirror or promote the signature with its blobs; look at explain for the path"
	ans := s.follow(ctx, http.MethodGet, manifestPath(name, reference), judge.MaxManifest, acceptHeader)
	if v, bad := judge.Trouble(ans); bad {
		return v
	}
	if ans.Status != http.StatusOK {
		return judge.Fail(hint, "%d for the manifest %.30s…, which the image's referrers name", ans.Status, reference)
	}
	if !want.IsZero() && judge.Sum(want, ans.Body) != want {
		return judge.Fail(judge.HintBytes, "the manifest %.19s… has other bytes", want)
	}
	doc, err := judge.ParseManifest(ans.Body)
	if err != nil || doc.Config == nil {
		return judge.Good("no blobs to ask for")
	}
	for _, b := range doc.Blobs() {
		ans := s.follow(ctx, http.MethodHead, blobPath(name, b.Digest), 0, nil)
		if v := judge.Head(ans, b); v.Result == judge.Failed {
			v.Detail += " (of " + reference[:min(len(reference), 30)] + "…)"
			v.Hint = hint
			return v
		}
	}
	return judge.Good("complete")
}

// coherent asks by HEAD for every blob of every platform.
func (s *session) coherent(ctx context.Context, im *image) {
	began := s.meter.begin(ctx)
	all := blobs(im.manifests)
	for i, b := range all {
		ans := s.follow(ctx, http.MethodHead, blobPath(im.ref.Name, b.Digest), 0, nil)
		if s.spent(ctx, idCoherent, im.ref.String(), s.base, ans.Err) {
			return
		}
		if v := judge.Head(ans, b); v.Result == judge.Failed {
			v.Detail = fmt.Sprintf("blob %d of %d: %s", i+1, len(all), v.Detail)
			s.say(idCoherent, im.ref.String(), lastHost(s.base, ans), began, v)
			return
		}
	}
	s.say(idCoherent, im.ref.String(), s.base, began, judge.Good("%d manifests and %d blobs", len(im.manifests), len(all)))
}

// lastHost returns the host that gave the answer, as far as is known.
func lastHost(base *url.URL, ans judge.Answer) *url.URL {
	if n := len(ans.Hops); n > 0 {
		return ans.Hops[n-1].To
	}
	return base
}
