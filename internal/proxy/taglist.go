package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
)

// tagList is a tag list under the name that the client asked for.
type tagList struct {
	body  []byte
	link  string
	odd   error // why there is no link though there may be another page; nil: it is well
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

// rewriteTags puts the requested name into a tag list and its pagination link, and keeps only the result. Only tags that are tags
// are passed on, and nothing but tags; not more than were asked for, whatever the upstream makes of n and last.
func rewriteTags(in io.Reader, header http.Header, req oci.Request) (tagList, error) {
	p := page{req: req}
	p.begin()
	limited := &io.LimitedReader{R: in, N: maxRelayBytes + 1}
	// Names that come twice are nobody's fault here, and to look for them takes memory.
	err := p.read(jsontext.NewDecoder(limited, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)))
	switch {
	case errors.Is(err, errBusy):
		return tagList{}, err
	case limited.N <= 0:
		return tagList{}, fmt.Errorf("%w: more than %d bytes", errTagList, maxRelayBytes)
	case err != nil:
		return tagList{}, fmt.Errorf("%w: %w", errTagList, err)
	}
	p.out.WriteString("]}\n")
	l := tagList{body: p.out.Bytes()}
	switch {
	case req.N == 0: // "MUST NOT include a Link"
	case p.cut:
		l.link = p.linkTo("last=" + p.last)
	default:
		l.link, l.odd = p.next(header)
	}
	l.empty = l.link == "" && l.odd == nil && p.tags == 0
	return l, nil
}

// page is what becomes of the tags that are read.
type page struct {
	req  oci.Request
	out  bytes.Buffer
	tags int    // in out
	last string // of them
	cut  bool   // there were more than were asked for
}

func (p *page) begin() {
	p.out.Reset()
	p.tags, p.last, p.cut = 0, "", false
	p.out.WriteString(`{"name":"` + p.req.Name + `","tags":[`)
}

// add takes a tag. A registry that knows no last sends what was read before, too.
func (p *page) add(tag string) {
	switch {
	case !oci.ValidTag(tag):
	case tag == p.req.Last:
		p.begin()
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

// read takes the members of "tags"; other keys are skipped, whatever is below them, without memory that grows with it.
func (p *page) read(dec *jsontext.Decoder) error {
	if err := expect(dec, jsontext.KindBeginObject); err != nil {
		return err
	}
	for dec.PeekKind() == jsontext.KindString {
		key, err := dec.ReadToken()
		if err != nil {
			return err
		}
		// "tags": null is what distribution says of an empty repository.
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

// next is the link to the next page. Nothing is kept of the upstream's but its validated n and last, and of these a client's n goes
// first. One that pages in another way, or leads back to this page, is an error.
func (p *page) next(header http.Header) (string, error) {
	target, err := outbound.NextLink(header)
	if err != nil || target == "" {
		return "", err
	}
	u, err := url.Parse(target)
	if err != nil {
		return "", fmt.Errorf("%w: %.200q", errOddLink, target)
	}
	query := u.RawQuery
	next, err := oci.Parse("/v2/"+p.req.Name+"/tags/list", query)
	if err != nil || next.Last == "" || next.Last == p.req.Last || next.N == 0 && p.req.N < 0 {
		return "", fmt.Errorf("%w: %.200q does not page by n and last", errOddLink, target)
	}
	return p.linkTo(query), nil
}

// linkTo makes a link to the page that a query asks for.
func (p *page) linkTo(query string) string {
	if p.req.N >= 0 {
		query = "n=" + strconv.Itoa(p.req.N) + "&" + query // the first n counts
	}
	path := "/v2/" + p.req.Name + "/tags/list"
	next, err := oci.Parse(path, query)
	if err != nil {
		return "" // it was parsed before, or is a tag
	}
	return "<" + path + "?" + next.Query + `>; rel="next"`
}
