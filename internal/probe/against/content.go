package against

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/oci"
	"ociproxy/internal/strictjson"
)

// ask sends one request to both names at once. The error says that one of them could not be asked.
func (p *pair) ask(ctx context.Context, method, path string, limit int64) (ans [2]judge.Answer, err error) {
	var g errgroup.Group
	for i, s := range p.sides {
		g.Go(func() error {
			ans[i] = s.ask(ctx, method, path, limit)
			if ans[i].Err != nil {
				return fmt.Errorf("%s: %w", s.base.Host, ans[i].Err)
			}
			return nil
		})
	}
	return ans, g.Wait()
}

// differs reports one difference of this repository.
func (p *pair) differs(k Kind, reference, one, two string) {
	p.differ(Difference{k, p.name, reference, one, two})
}

// status compares the status of two answers, and reports whether both are 200.
func (p *pair) status(k Kind, reference string, ans [2]judge.Answer) bool {
	a, b := ans[0].Status, ans[1].Status
	if a != b {
		p.differs(k, reference, strconv.Itoa(a), strconv.Itoa(b))
	}
	return a == http.StatusOK && b == http.StatusOK
}

// compared are the headers that clients rely on.
var compared = []string{"Content-Type", "Docker-Content-Digest", "Content-Length"}

// headers compares the headers of two answers about the same content.
func (p *pair) headers(reference string, ans [2]judge.Answer) {
	for _, name := range compared {
		a, b := ans[0].Header.Get(name), ans[1].Header.Get(name)
		if name == "Content-Length" { // Go removes it from compressed answers
			a, b = length(ans[0].Length), length(ans[1].Length)
		}
		if a != b {
			p.differs(Header, reference, name+": "+a, name+": "+b)
		}
	}
}

func length(n int64) string {
	if n < 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// tag compares what a tag leads to. The error ends the repository: the run's bounds are reached, or ctx ended.
func (p *pair) tag(ctx context.Context, tag string) error {
	ans, err := p.ask(ctx, http.MethodHead, "/v2/"+p.name+"/manifests/"+tag, 0)
	if err != nil {
		return p.skip(ctx, tag, err)
	}
	p.count(&p.r.Compared)
	if !p.status(Answer, tag, ans) {
		return nil
	}
	const header = "Docker-Content-Digest"
	a, b := ans[0].Header.Get(header), ans[1].Header.Get(header)
	switch {
	case a == b && a != "":
		p.headers(tag, ans)
		return p.manifest(ctx, a, 0)
	case a == "" || b == "":
		p.differs(Header, tag, header+": "+a, header+": "+b)
		return nil
	}
	p.differs(Digest, tag, a, b)
	return p.platforms(ctx, tag)
}

// skip records that something could not be compared. It returns an error if the rest cannot be compared either.
func (p *pair) skip(ctx context.Context, reference string, err error) error {
	if !stop(ctx, err) {
		p.failed(ctx, reference, err)
		return nil
	}
	return err
}

// platforms compares the platforms of two images that have the same tag.
func (p *pair) platforms(ctx context.Context, tag string) error {
	ans, err := p.ask(ctx, http.MethodGet, "/v2/"+p.name+"/manifests/"+tag, judge.MaxManifest)
	if err != nil {
		return p.skip(ctx, tag, err)
	}
	a, b := platformsOf(ans[0]), platformsOf(ans[1])
	if a != b {
		p.differs(Platforms, tag, a, b)
	}
	return nil
}

// platformsOf lists the platforms of an index, or says what else it is.
func platformsOf(ans judge.Answer) string {
	doc, err := judge.ParseManifest(ans.Body)
	switch {
	case ans.Status != http.StatusOK || err != nil:
		return "no manifest"
	case doc.Config != nil:
		return "a single image"
	}
	var out []string
	for _, m := range doc.Manifests {
		out = append(out, m.Platform.OS+"/"+m.Platform.Architecture)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}

// maxDepth is how deep indexes may be nested.
const maxDepth = 3

// manifest compares a manifest that both names should have, and everything below it.
func (p *pair) manifest(ctx context.Context, digest string, depth int) error {
	d, err := oci.ParseDigest(digest)
	if err != nil || depth > maxDepth || !p.first(digest) {
		return nil
	}
	ans, err := p.ask(ctx, http.MethodGet, "/v2/"+p.name+"/manifests/"+digest, judge.MaxManifest)
	if err != nil {
		return p.skip(ctx, digest, err)
	}
	p.count(&p.r.Manifests)
	if !p.status(Content, digest, ans) {
		return nil
	}
	var right [2]string
	for i := range ans {
		right[i] = "the bytes of the digest"
		if judge.Sum(d, ans[i].Body) != d {
			right[i] = "other bytes"
		}
	}
	if right[0] != right[1] {
		p.differs(Content, digest, right[0], right[1])
		return nil
	}
	p.headers(digest, ans)
	doc, err := judge.ParseManifest(ans[0].Body)
	if err != nil {
		return nil // both have the same
	}
	if depth == 0 || doc.Config != nil {
		if err := p.referrers(ctx, digest); err != nil {
			return err
		}
	}
	for _, m := range doc.Manifests {
		if err := p.manifest(ctx, m.Digest, depth+1); err != nil {
			return err
		}
	}
	if doc.Config == nil {
		return nil
	}
	for _, b := range doc.Blobs() {
		if err := p.blob(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// blob compares whether both names have a blob, and its size.
func (p *pair) blob(ctx context.Context, b judge.Blob) error {
	digest := b.Digest.String()
	if !p.first(digest) {
		return nil
	}
	ans, err := p.ask(ctx, http.MethodHead, "/v2/"+p.name+"/blobs/"+digest, 0)
	if err != nil {
		return p.skip(ctx, digest, err)
	}
	p.count(&p.r.Blobs)
	if p.status(Blob, digest, ans) && ans[0].Length != ans[1].Length {
		p.differs(Blob, digest, length(ans[0].Length)+" bytes", length(ans[1].Length)+" bytes")
	}
	return nil
}

// referrers compares what refers to a manifest. Cosign's tags are in the list of tags already.
func (p *pair) referrers(ctx context.Context, digest string) error {
	ans, err := p.ask(ctx, http.MethodGet, "/v2/"+p.name+"/referrers/"+digest, judge.MaxManifest)
	if err != nil {
		return p.skip(ctx, digest, err)
	}
	var lists [2]string
	for i := range ans {
		lists[i] = referring(ans[i])
	}
	if lists[0] != lists[1] {
		p.differs(Referrers, digest, lists[0], lists[1])
	}
	return nil
}

// referring names what a list of referrers has.
func referring(ans judge.Answer) string {
	if ans.Status != http.StatusOK {
		return strconv.Itoa(ans.Status)
	}
	var list struct {
		Manifests []struct {
			Digest string `json:"digest"`
		} `json:"manifests"`
	}
	if strictjson.Unmarshal(ans.Body, &list, strictjson.Bounds{Bytes: judge.MaxManifest}) != nil {
		return "no list"
	}
	var out []string
	for _, m := range list.Manifests {
		out = append(out, m.Digest)
	}
	slices.Sort(out)
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(slices.Compact(out), " ")
}

// unknown compares the answers for what does not exist.
func (p *pair) unknown(ctx context.Context) {
	made := judge.MadeUp()
	for _, path := range []string{
		"/v2/" + p.name + "/manifests/oci-proxy-probe-unknown",
		"/v2/" + p.name + "/manifests/" + made,
		"/v2/" + p.name + "/blobs/" + made,
		"/v2/oci-proxy-probe/unknown/manifests/latest",
	} {
		what := strings.Replace(path, made, "an unknown digest", 1)
		ans, err := p.ask(ctx, http.MethodGet, path, 64<<10)
		if err != nil {
			p.failed(ctx, what, err)
			continue
		}
		if a, b := refusal(ans[0]), refusal(ans[1]); a != b {
			p.differ(Difference{Kind: Error, Reference: what, Here: a, There: b})
		}
	}
}

// refusal is the status of an answer, with the code of an error of the specification.
func refusal(ans judge.Answer) string {
	var e struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if strictjson.Unmarshal(ans.Body, &e, strictjson.Bounds{}) == nil && len(e.Errors) > 0 {
		return fmt.Sprintf("%d %s", ans.Status, e.Errors[0].Code)
	}
	return strconv.Itoa(ans.Status)
}
