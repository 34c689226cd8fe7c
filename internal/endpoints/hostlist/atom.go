package hostlist

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/endpoints"
)

// The elements of Atom, RFC 4287.
type (
	atomFeed struct {
		XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
		ID      string      `xml:"id"`
		Title   string      `xml:"title"`
		Updated string      `xml:"updated"`
		Author  string      `xml:"author>name"`
		Links   []atomLink  `xml:"link"`
		Entries []atomEntry `xml:"entry"`
	}
	atomLink struct {
		Rel  string `xml:"rel,attr"`
		Type string `xml:"type,attr"`
		Href string `xml:"href,attr"`
	}
	atomEntry struct {
		ID      string `xml:"id"`
		Title   string `xml:"title"`
		Updated string `xml:"updated"`
		Content string `xml:"content"`
		at      time.Time
	}
)

// Atom returns the feed of the changes that a list announces: an entry for each date on which a host comes or goes, the
// latest first. registry names the feed. The same list and name give the same bytes, with the same ids.
//
// Atom wants to know when an entry was last changed, and a list does not say when its author announced something. The
// feed gives the last day on which that was in time: the date of the change, less the promised notice.
func Atom(l *endpoints.List, registry string) []byte {
	feed := atomFeed{
		ID: id(registry), Title: "Hosts of " + registry, Author: registry,
		Links: []atomLink{
			{"self", "application/atom+xml", endpoints.AtomPath},
			{"alternate", "application/json", endpoints.Path},
		},
	}
	for i := range l.Endpoints {
		e := &l.Endpoints[i]
		for _, c := range []struct {
			word, text string
			at         time.Time
		}{
			{"Added", "Clients are sent to it from %s on. Allow it before.", e.Since},
			{"Removed", "Clients are not sent to it any more from %s on.", e.Until},
		} {
			if c.at.IsZero() {
				continue
			}
			feed.Entries = append(feed.Entries, atomEntry{
				ID:      id(registry, c.word, string(e.Kind), e.Address(), e.Bucket, e.Objects, date(c.at)),
				Title:   fmt.Sprintf("%s: %s, %s", c.word, e.Address(), date(c.at)),
				Updated: stamp(c.at.Add(-l.Notice())),
				Content: fmt.Sprintf("%s (%s). "+c.text, e.Address(), describe(e), date(c.at)),
				at:      c.at,
			})
		}
	}
	slices.SortStableFunc(feed.Entries, func(a, b atomEntry) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.Title, b.Title)) })
	// A feed must have a date. That of one without entries is a constant: it never changed.
	feed.Updated = stamp(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
	if len(feed.Entries) > 0 {
		feed.Updated = feed.Entries[0].Updated
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	enc := xml.NewEncoder(&b)
	enc.Indent("", "  ")
	if err := enc.Encode(feed); err != nil {
		panic("hostlist: " + err.Error()) // texts always marshal
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// describe says what a host is for.
func describe(e *endpoints.Endpoint) string {
	parts := []string{string(e.Kind)}
	if e.Provider != "" {
		parts = append(parts, strings.TrimSuffix(e.Provider+"/"+e.Region, "/"))
	}
	if len(e.Families) > 0 {
		parts = append(parts, strings.Join(e.Families, " and "))
	}
	if e.Bucket != "" {
		parts = append(parts, e.Bucket)
	}
	return strings.Join(parts, ", ")
}

// date leaves out a time of 00:00 UTC.
func date(t time.Time) string {
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return stamp(t)
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

// id is a UUID made from a hash of its parts (version 8, RFC 9562): the same for the same change.
func id(parts ...string) string {
	u := sha256.Sum256([]byte("oci-proxy endpoints\n" + strings.Join(parts, "\n")))
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
