package clientip

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"
)

// Extractor finds the client's address with one [Rule]. It is immutable and safe for concurrent use.
type Extractor struct {
	rule    Rule
	header  string // canonical key
	require string // canonical key
	trusted bart.Lite
}

// New returns the Extractor for a rule. The error comes from [Rule.Validate].
func New(rule Rule) (*Extractor, error) {
	if err := rule.Validate(); err != nil {
		return nil, fmt.Errorf("client address: %w", err)
	}
	e := &Extractor{rule: rule, header: canonical(rule.Header), require: canonical(rule.RequireHeader)}
	trusted := rule.Trusted
	if len(trusted) == 0 {
		trusted = DefaultTrusted()
	}
	for _, p := range trusted {
		e.trusted.Insert(unmapPrefix(p))
	}
	return e, nil
}

// From returns the address of the client that sent a request. remoteAddr is [http.Request.RemoteAddr], and h has the
// request's headers. The address has no zone, and is IPv4 if possible. From never fails: when the rule finds nothing,
// the address is that of the TCP peer, and the Source says why.
//
// The rule limits the work, except that From looks once at each blank and empty entry that it reads past.
func (e *Extractor) From(remoteAddr string, h http.Header) (netip.Addr, Source) {
	peer, ok := parsePeer(remoteAddr)
	if !ok {
		return netip.Addr{}, SourcePeerInvalid
	}
	if e.header == "" {
		if e.rule.ProxyProtocol && !e.trusted.Lookup(peer) {
			return peer, SourceProxyProtocol
		}
		// With PROXY protocol, a front's own address means its health check ("LOCAL").
		return peer, SourcePeer
	}
	if !e.trusted.Lookup(peer) {
		return peer, SourcePeerUntrusted
	}
	if e.require != "" {
		if values := h[e.require]; len(values) != 1 || values[0] != e.rule.RequireValue {
			return peer, SourceFrontUnknown
		}
	}
	addr, source := e.fromHeader(h[e.header])
	if source != SourceHeader {
		return peer, source
	}
	return addr, source
}

func (e *Extractor) fromHeader(lines []string) (netip.Addr, Source) {
	switch {
	case len(lines) == 0:
		return netip.Addr{}, SourceHeaderMissing
	case e.rule.Single && len(lines) > 1:
		return netip.Addr{}, SourceHeaderRepeated
	case e.rule.Single:
		return e.address(lines[0])
	case e.rule.Entry == 0:
		return e.walk(lines)
	}
	entries := chain{lines: lines}
	for range e.rule.Entry - 1 {
		if _, ok := entries.next(); !ok {
			return netip.Addr{}, entries.fault()
		}
	}
	entry, ok := entries.next()
	if !ok {
		return netip.Addr{}, entries.fault()
	}
	return e.address(entry)
}

// walk returns the first entry from the right that is not trusted. When all entries are trusted, it returns the
// leftmost one: the request came from inside.
func (e *Extractor) walk(lines []string) (netip.Addr, Source) {
	entries := chain{lines: lines}
	addr, source := netip.Addr{}, SourceHeaderMissing
	for range MaxEntry {
		entry, ok := entries.next()
		if !ok {
			if entries.long {
				return netip.Addr{}, SourceHeaderInvalid
			}
			return addr, source
		}
		addr, source = e.address(entry)
		if source != SourceHeader || !e.trusted.Lookup(addr) {
			return addr, source
		}
	}
	return netip.Addr{}, SourceHeaderInvalid // no real chain has so many proxies
}

func (e *Extractor) address(entry string) (netip.Addr, Source) {
	addr, ok := parseEntry(entry, e.rule.Port)
	if !ok {
		return netip.Addr{}, SourceHeaderInvalid
	}
	return addr, SourceHeader
}

// unmapPrefix turns a prefix of mapped addresses (::ffff:10.0.0.0/104) into the IPv4 prefix that it means, because all
// lookups use unmapped addresses.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// maxEntryBytes is far above the length of any address with a port. A longer entry is garbage, and its end is not
// searched for.
const maxEntryBytes = 128

// chain reads the entries of all lines of a list header from the right.
type chain struct {
	lines []string
	rest  string // the unread part of the line being read
	open  bool   // a line is being read
	long  bool   // stopped at an entry longer than maxEntryBytes
}

// next returns the next entry to the left. It skips empty entries, which do not count (RFC 9110, 5.6.1).
func (c *chain) next() (string, bool) {
	for {
		entry, ok := c.element()
		if !ok || entry != "" {
			return entry, ok
		}
	}
}

// blanks are the bytes of which any number may stand around an entry (RFC 9110, 5.6.3).
const blanks = " \t"

// element returns the text between the next two commas to the left, without the blanks around it.
func (c *chain) element() (string, bool) {
	if !c.open {
		if len(c.lines) == 0 {
			return "", false
		}
		last := len(c.lines) - 1
		c.rest, c.lines, c.open = c.lines[last], c.lines[:last], true
	}
	c.rest = strings.TrimRight(c.rest, blanks)
	from := max(0, len(c.rest)-maxEntryBytes)
	begin := from + strings.LastIndexByte(c.rest[from:], ',') + 1
	entry := strings.TrimLeft(c.rest[begin:], blanks)
	// If there is no comma nearby, only blanks may stand to the left, up to a comma or the start of the line.
	c.rest = strings.TrimRight(c.rest[:len(c.rest)-len(entry)], blanks)
	before, more := strings.CutSuffix(c.rest, ",")
	if !more && c.rest != "" {
		c.long = true
		return "", false
	}
	c.rest, c.open = before, more
	return entry, true
}

// fault returns the reason why next found nothing.
func (c *chain) fault() Source {
	if c.long {
		return SourceHeaderInvalid
	}
	return SourceHeaderShort
}
