package clientip

import (
	"errors"
	"fmt"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
)

// MaxEntry limits how far from the right an entry may be, and how many trusted hops a walk passes. Real chains have two
// or three.
const MaxEntry = 16

// Rule says how the client's address arrives. The zero Rule uses the TCP peer. Do not change a Rule after it is given
// to [New].
type Rule struct {
	// Header names the header that has the address. "" means that there is none.
	Header string
	// Entry selects an entry of the header: the Entry-th from the right of all its lines joined, where 1 is the last. 0
	// walks from the right and takes the first entry that is not Trusted.
	Entry int
	// Single marks a header with exactly one value: it must occur exactly once, and Entry is not used.
	Single bool
	// Port marks a header whose value always ends in ":port", as CloudFront writes it. It only matters for IPv6 without
	// brackets, where "2001:db8::1:8080" is also a valid address.
	Port bool
	// Trusted has the peers whose header (or PROXY protocol) counts, and the addresses that a walk passes over. Empty
	// means [DefaultTrusted].
	Trusted []netip.Prefix
	// RequireHeader and RequireValue, when set, must be in the request as well. Otherwise the peer does not count as
	// our front. They distinguish our own front from another customer's at the same provider (X-Azure-FDID). The value
	// is not a secret.
	RequireHeader, RequireValue string
	// ProxyProtocol requires PROXY protocol v1 or v2 from trusted peers and
	// refuses it from others. It excludes Header.
	ProxyProtocol bool
}

// DefaultTrusted returns the private, link-local and loopback prefixes.
func DefaultTrusted() []netip.Prefix { return prefixes(private) }

// Validate returns all faults of the rule, joined.
func (r Rule) Validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if r.Header != "" && !token(r.Header) {
		fault("header %q: not a header name", r.Header)
	}
	if r.Entry < 0 || r.Entry > MaxEntry {
		fault("entry %d: not between 1 and %d (0 walks past trusted entries)", r.Entry, MaxEntry)
	}
	if r.Header == "" && (r.Entry != 0 || r.Single || r.Port || r.RequireHeader != "") {
		fault("header: missing, the rest of the rule needs one")
	}
	if r.Single && r.Entry != 0 {
		fault("entry %d: a single-value header has no entries to count", r.Entry)
	}
	if r.ProxyProtocol && r.Header != "" {
		fault("proxy-protocol: excludes header %q, the address is known before any header is read", r.Header)
	}
	if (r.RequireHeader == "") != (r.RequireValue == "") {
		fault("required header: needs a name and a value")
	} else if r.RequireHeader != "" && !token(r.RequireHeader) {
		fault("required header %q: not a header name", r.RequireHeader)
	}
	for _, p := range r.Trusted {
		switch {
		case !p.IsValid():
			fault("trusted: not a valid prefix")
		case p.Bits() == 0 && r.Header != "" && r.Entry == 0 && !r.Single:
			fault("trusted %s: trusts everybody, so a walk would believe whatever a client wrote; set entry", p)
		}
	}
	return errors.Join(errs...)
}

// token reports whether s is a token of RFC 9110 §5.6.2.
func token(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}) < 0
}

// Preset returns the rule for a known front.
func Preset(name string) (Rule, bool) {
	i := slices.IndexFunc(presets, func(p preset) bool { return p.name == name })
	if i < 0 {
		return Rule{}, false
	}
	p := presets[i]
	rule := p.rule
	if rule.Header != "" {
		rule.Trusted = append(prefixes(private), prefixes(p.peers)...)
	}
	return rule, true
}

// Presets returns the names of the known fronts, "direct" first.
func Presets() []string {
	names := make([]string, len(presets))
	for i, p := range presets {
		names[i] = p.name
	}
	return names
}

// prefixes reads a space-separated list that is part of the program.
func prefixes(list string) []netip.Prefix {
	var out []netip.Prefix
	for field := range strings.FieldsSeq(list) {
		out = append(out, netip.MustParsePrefix(field))
	}
	return out
}

func canonical(header string) string { return textproto.CanonicalMIMEHeaderKey(header) }
