package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
)

// tagList is a tag list under the name that the client asked for.
type tagList struct {
	body  []byte
	link  string
	odd   error // why there is no link although there may be another page; nil: no fault
	empty bool  // no tags, and no page after it
}

func (l *tagList) size() int64 {
	if l == nil {
		return 0
	}
	return int64(cap(l.body))
}

var (
	errTagList = errors.New("not a tag list")
	errOddLink = errors.New("the link to the next page of a tag list cannot be followed")
)

// within joins the two parts of the marker of a page that begins inside an upstream's page: the tag after which the
// page begins, and then the marker of the upstream's page. No tag has a space in it.
const within = " after "

// resume returns the page to request from an upstream, and the tag after which the client's page begins.
func resume(req oci.Request) (asked oci.Request, skip string) {
	tag, marker, ok := strings.Cut(req.Last, within)
	if !ok || !oci.ValidTag(tag) {
		return req, req.Last
	}
	asked, _ = req.Page(req.N, marker) // a part of a well-formed request
	return asked, tag
}

// rewriteTags puts the requested name into a tag list and its pagination link, and keeps only the result. It passes
// on only valid tags and nothing else, and never more than the client asked for, whatever the upstream makes of n and
// last.
func rewriteTags(in io.Reader, header http.Header, req oci.Request) (tagList, error) {
	p := page{}
	p.req, p.skip = resume(req)
	p.begin()
	limited := &tokenReader{in: &io.LimitedReader{R: in, N: maxRelayBytes + 1}}
	// Duplicate keys do no harm here, and to detect them takes memory.
	limited.dec = jsontext.NewDecoder(limited, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	err := p.read(limited.dec)
	switch {
	case errors.Is(err, errBusy):
		return tagList{}, err
	case limited.in.N <= 0:
		return tagList{}, fmt.Errorf("%w: more than %d bytes", errTagList, maxRelayBytes)
	case err != nil:
		return tagList{}, fmt.Errorf("%w: %w", errTagList, err)
	}
	p.out.WriteString("]}\n")
	l := tagList{body: p.out.Bytes()}
	if req.N != 0 { // "MUST NOT include a Link"
		l.link, l.odd = p.next(header)
	}
	l.empty = l.link == "" && l.odd == nil && p.tags == 0
	return l, nil
}

// maxToken bounds a string of a tag list, in bytes: a decoder keeps all of it, and its buffer doubles.
const maxToken = 64 << 10

var errToken = fmt.Errorf("a string or number of more than %d bytes", maxToken)

// tokenReader is the input of a decoder. It fails when a token has become too long.
type tokenReader struct {
	in  *io.LimitedReader
	dec *jsontext.Decoder
	n   int64
}

// Read implements [io.Reader].
func (r *tokenReader) Read(p []byte) (int, error) {
	if r.n-r.dec.InputOffset() > maxToken {
		return 0, errToken
	}
	n, err := r.in.Read(p)
	r.n += int64(n)
	return n, err
}

// page collects the tags that are read.
type page struct {
	req  oci.Request // the request to the upstream
	skip string      // the tag after which the client's page begins
	seen bool        // skip was read
	out  bytes.Buffer
	tags int    // in out
	last string // last tag in out
	end  string // last tag of all
	cut  bool   // there were more tags than requested
}

func (p *page) begin() {
	p.out.Reset()
	p.tags, p.last, p.cut = 0, "", false
	p.out.WriteString(`{"name":"` + p.req.Name + `","tags":[`)
}

// add takes a tag. A registry that does not support last also sends the tags of earlier pages.
func (p *page) add(tag string) {
	if !oci.ValidTag(tag) {
		return
	}
	p.end = tag
	switch {
	case tag == p.skip:
		p.begin()
		p.seen = true
	case p.req.N >= 0 && p.tags >= p.req.N:
		p.cut = true
	default:
		if p.tags > 0 {
			p.out.WriteByte(',')
		}
		p.tags, p.last = p.tags+1, tag
		p.out.WriteString(`"` + tag + `"`) // a tag needs no escaping
	}
}

// read reads the members of "tags". It skips other keys, however deep they are nested, without memory that grows with
// them.
func (p *page) read(dec *jsontext.Decoder) error {
	if err := expect(dec, jsontext.KindBeginObject); err != nil {
		return err
	}
	for dec.PeekKind() == jsontext.KindString {
		key, err := dec.ReadToken()
		if err != nil {
			return err
		}
		// distribution answers "tags": null for an empty repository.
		if key.String() != "tags" || dec.PeekKind() == jsontext.KindNull {
			if err := dec.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if err := p.readTags(dec); err != nil {
			return err
		}
	}
	return expect(dec, jsontext.KindEndObject)
}

func (p *page) readTags(dec *jsontext.Decoder) error {
	if err := expect(dec, jsontext.KindBeginArray); err != nil {
		return err
	}
	for dec.PeekKind() == jsontext.KindString {
		tag, err := dec.ReadToken()
		if err != nil {
			return err
		}
		p.add(tag.String())
	}
	return expect(dec, jsontext.KindEndArray)
}

func expect(dec *jsontext.Decoder, want jsontext.Kind) error {
	got, err := dec.ReadToken()
	if err == nil && got.Kind() != want {
		err = fmt.Errorf("%v instead of %v", got.Kind(), want)
	}
	return err
}

// next returns the link to the next page. It keeps only n and last of the upstream's link, and the client's n wins. A
// link that pages in another way, or leads back to this page, is an error.
func (p *page) next(header http.Header) (string, error) {
	theirs, err := p.followed(header)
	if !p.cut {
		if theirs.Last == "" {
			return "", err
		}
		return p.linkTo(theirs.N, theirs.Last)
	}
	// Does the upstream support "after this tag"? It does if it pages by tags, or sends the tags of earlier pages,
	// too. Otherwise the proxy asks it for this page again.
	byTags := err == nil && (theirs.Last == "" || theirs.Last == p.end)
	if byTags && (p.req.Last == "" || p.seen) && p.skip == p.req.Last {
		return p.linkTo(-1, p.last)
	}
	return p.linkTo(-1, p.last+within+p.req.Last)
}

// followed returns the page that the upstream's link leads to; its Last is "" when there is none.
func (p *page) followed(header http.Header) (next oci.Request, err error) {
	targets, err := outbound.NextLinks(header)
	for _, target := range targets {
		u, bad := url.Parse(target)
		if bad == nil {
			if next, ok := p.req.NextPage(u.RawQuery); ok && next.Last != p.req.Last {
				return next, nil
			}
		}
		err = fmt.Errorf("%w: %.200q does not page by last", errOddLink, target)
	}
	return oci.Request{}, err
}

// linkTo makes a link to a page. The client's n wins over the upstream's.
func (p *page) linkTo(n int, last string) (string, error) {
	if p.req.N >= 0 {
		n = p.req.N
	}
	next, ok := p.req.Page(n, last)
	if !ok {
		return "", fmt.Errorf("%w: it is too long", errOddLink)
	}
	return "</v2/" + p.req.Name + "/tags/list?" + next.Query + `>; rel="next"`, nil
}
