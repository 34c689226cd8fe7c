package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"ociproxy/internal/oci"
)

// tagList is a tag list under the name that the client asked for.
type tagList struct {
	body  []byte
	link  string
	empty bool // no tags, and no page after it
}

var errTagList = errors.New("not a tag list")

// rewriteTags puts the requested name into a tag list and its pagination link, reading at most maxRelayBytes
// and keeping only the result. Only tags that are tags are passed on, and nothing but tags.
func rewriteTags(in io.Reader, link string, req oci.Request) (tagList, error) {
	limited := &io.LimitedReader{R: in, N: maxRelayBytes + 1}
	dec := json.NewDecoder(limited)
	out := bytes.NewBufferString(`{"name":"` + req.Name + `","tags":[`)
	err := readTags(dec, out)
	if limited.N <= 0 {
		return tagList{}, fmt.Errorf("%w: more than %d bytes", errTagList, maxRelayBytes)
	}
	if err != nil {
		return tagList{}, fmt.Errorf("%w: %w", errTagList, err)
	}
	out.WriteString("]}\n")
	next, err := rewriteLink(link, req.Name)
	if err != nil {
		return tagList{}, err
	}
	empty := next == "" && bytes.HasSuffix(out.Bytes(), []byte("[]}\n"))
	return tagList{body: out.Bytes(), link: next, empty: empty}, nil
}

// readTags copies the members of "tags" to out, separated by commas; other keys are skipped.
func readTags(dec *json.Decoder, out *bytes.Buffer) error {
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	first := true
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if key != "tags" {
			if err := skipValue(dec); err != nil {
				return err
			}
			continue
		}
		open, err := dec.Token()
		if err != nil {
			return err
		}
		if open == nil {
			continue // "tags": null is what distribution says of an empty repository
		}
		if open != json.Delim('[') {
			return fmt.Errorf("tags is %v", open)
		}
		for dec.More() {
			var tag string
			if err := dec.Decode(&tag); err != nil {
				return err
			}
			if !oci.ValidTag(tag) {
				continue
			}
			if !first {
				out.WriteByte(',')
			}
			first = false
			out.WriteString(`"` + tag + `"`) // a tag needs no escaping
		}
		if err := expect(dec, json.Delim(']')); err != nil {
			return err
		}
	}
	return expect(dec, json.Delim('}'))
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if err == nil && got != want {
		err = fmt.Errorf("%v instead of %v", got, want)
	}
	return err
}

// skipValue passes over one value of any depth without keeping it.
func skipValue(dec *json.Decoder) error {
	for depth := 0; ; {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// rewriteLink keeps nothing of an upstream's next link but its validated n and last. A link that works in
// another way is an error: without it, a client would take the first page for the whole list.
func rewriteLink(link, name string) (string, error) {
	if link == "" {
		return "", nil
	}
	target, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
	if !ok || !strings.Contains(rest, `rel="next"`) {
		return "", fmt.Errorf("tag list: cannot read the link %.200q", link)
	}
	u, err := url.Parse(target)
	if err != nil {
		return "", fmt.Errorf("tag list: link: %w", err)
	}
	next, err := oci.Parse("/v2/"+name+"/tags/list", u.RawQuery)
	if err != nil || next.Last == "" {
		return "", fmt.Errorf("tag list: the link %.200q does not page by n and last", link)
	}
	return "</v2/" + name + "/tags/list?" + next.Query + `>; rel="next"`, nil
}
