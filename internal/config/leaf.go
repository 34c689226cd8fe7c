package config

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/key"
	"ociproxy/internal/oci"
	"ociproxy/internal/place"
	"ociproxy/internal/price"
)

// leaf reads and writes one type of value that the file spells as a word, or as a list of words.
type leaf struct {
	want  string // what a reader is told to write: "a duration"
	json  string // its type in JSON schema; of the items, for a list
	list  bool   // a list of words; a single word is a list of one
	parse func(words []string, t reflect.Type) (v reflect.Value, hint string, err error)
	words func(v reflect.Value) []string
}

// word makes a leaf of a parser and a writer of one type.
func word[T any](want, json string, parse func(string) (T, string, error), write func(T) string) leaf {
	return leaf{
		want: want, json: json,
		parse: func(words []string, t reflect.Type) (reflect.Value, string, error) {
			got, hint, err := parse(words[0])
			return reflect.ValueOf(got), hint, err
		},
		words: func(v reflect.Value) []string { return []string{write(v.Interface().(T))} },
	}
}

func words[T any](want string, parse func([]string) (T, error), write func(T) []string) leaf {
	return leaf{
		want: want, json: "string", list: true,
		parse: func(words []string, t reflect.Type) (reflect.Value, string, error) {
			got, err := parse(words)
			return reflect.ValueOf(got), "", err
		},
		words: func(v reflect.Value) []string { return write(v.Interface().(T)) },
	}
}

var leaves = map[reflect.Type]leaf{
	reflect.TypeFor[string]():            word("a text", "string", func(s string) (string, string, error) { return s, "", nil }, func(s string) string { return s }),
	reflect.TypeFor[bool]():              word("true or false", "boolean", parseBool, strconv.FormatBool),
	reflect.TypeFor[int]():               word("a whole number", "integer", parseInt, strconv.Itoa),
	reflect.TypeFor[uint32]():            word("a whole number", "integer", parseUint32, func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }),
	reflect.TypeFor[float64]():           word("a number", "number", parseFloat, func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }),
	reflect.TypeFor[time.Duration]():     word("a duration", "string", parseDuration, formatDuration),
	reflect.TypeFor[netip.Prefix]():      word("a CIDR range", "string", parsePrefix, netip.Prefix.String),
	reflect.TypeFor[place.Place]():       word("a place", "string", parsePlace, place.Place.String),
	reflect.TypeFor[price.Unit]():        word("GB or GiB", "string", parseUnit, func(u price.Unit) string { return string(u) }),
	reflect.TypeFor[AccountName]():       word("a name", "string", func(s string) (AccountName, string, error) { return AccountName(s), "", nil }, func(a AccountName) string { return string(a) }),
	reflect.TypeFor[Percent]():           word("a percentage", "string", parsePercent, formatPercent),
	reflect.TypeFor[oci.Digest]():        word("a digest", "string", parseDigest, oci.Digest.String),
	reflect.TypeFor[ed25519.PublicKey](): word("a public key", "string", parseKey, key.Format),
	reflect.TypeFor[Serves]():            words("a list of clouds, `internet` or `all`", parseServes, Serves.Names),
	reflect.TypeFor[Families]():          words("a list of ipv4 and ipv6", parseFamilies, Families.Names),
	reflect.TypeFor[time.Time]():         word("a date", "string", parseDate, formatDate),
}

// enum is a string type that knows its values.
type enum interface{ Values() []string }

// leafOf returns how to read t, and false when t is made of keys or items of its own.
func leafOf(t reflect.Type) (leaf, bool) {
	if e, ok := reflect.Zero(t).Interface().(enum); ok {
		return enumLeaf(e.Values()), true
	}
	lf, ok := leaves[t]
	return lf, ok
}

func enumLeaf(values []string) leaf {
	return leaf{
		want: "one of " + strings.Join(values, ", "), json: "string",
		parse: func(words []string, t reflect.Type) (reflect.Value, string, error) {
			for _, v := range values {
				if v == words[0] {
					return reflect.ValueOf(v).Convert(t), "", nil
				}
			}
			hint := "one of " + strings.Join(values, ", ")
			if s := Suggest(words[0], values); s != "" {
				hint = fmt.Sprintf("did you mean %q? %s", s, hint)
			}
			return reflect.Value{}, hint, fmt.Errorf("unknown value %q", shorten(words[0]))
		},
		words: func(v reflect.Value) []string { return []string{v.String()} },
	}
}

// parseUnit reads a unit of prices for bytes.
func parseUnit(s string) (price.Unit, string, error) {
	u := price.Unit(s)
	if u != price.GB && u != price.GiB {
		return "", "GiB is 2³⁰ bytes, GB is 10⁹", fmt.Errorf("expected GB or GiB, found %q", shorten(s))
	}
	return u, "", nil
}

func parseBool(s string) (bool, string, error) {
	switch s {
	case "true", "True", "TRUE":
		return true, "", nil
	case "false", "False", "FALSE":
		return false, "", nil
	}
	return false, "write true or false", fmt.Errorf("expected true or false, found %q", shorten(s))
}

func parseInt(s string) (int, string, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, "", fmt.Errorf("expected a whole number, found %q", shorten(s))
	}
	return n, "", nil
}

func parseUint32(s string) (uint32, string, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, "", fmt.Errorf("expected a whole number, found %q", shorten(s))
	}
	return uint32(n), "", nil
}

func parseFloat(s string) (float64, string, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, "", fmt.Errorf("expected a number, found %q", shorten(s))
	}
	return f, "", nil
}

func parseDuration(s string) (time.Duration, string, error) {
	const units = "write a number with its unit: 300ms, 60s, 5m, 6h"
	d, err := time.ParseDuration(s)
	if err != nil {
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			return 0, units, fmt.Errorf("the duration %q has no unit", shorten(s))
		}
		return 0, units, fmt.Errorf("expected a duration, found %q", shorten(s))
	}
	if d < 0 {
		return 0, "", fmt.Errorf("the duration %s is negative", s)
	}
	return d, "", nil
}

// formatDuration writes 6h, not 6h0m0s, and 650s, not 10m50s.
func formatDuration(d time.Duration) string {
	if d < time.Hour && d%time.Second == 0 && d%time.Minute != 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parseDate reads a date, which begins at 00:00 UTC, or a time of RFC 3339.
func parseDate(s string) (time.Time, string, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t, err = time.Parse(time.RFC3339, s)
	}
	if err != nil || t.Year() < 2000 || t.Year() > 9999 {
		return time.Time{}, "write 2026-12-10, or 2026-12-10T09:00:00Z", fmt.Errorf("expected a date, found %q", shorten(s))
	}
	return t.UTC(), "", nil
}

// formatDate leaves out a time of 00:00 UTC.
func formatDate(t time.Time) string {
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

func parsePrefix(s string) (netip.Prefix, string, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			return p, fmt.Sprintf("write %s/%d for this one address", s, a.BitLen()), fmt.Errorf("the address %s has no prefix length", s)
		}
		return p, "write 198.51.100.0/24 or 2001:db8::/32", fmt.Errorf("expected a CIDR range, found %q", shorten(s))
	}
	if p.Addr().Is4In6() {
		return p, "write it as IPv4", fmt.Errorf("the range %s is an IPv4 range in IPv6 notation", s)
	}
	if m := p.Masked(); m != p {
		return p, fmt.Sprintf("write %s, or %s/%d for one address", m, p.Addr(), p.Addr().BitLen()), fmt.Errorf("the range %s has bits set beyond its prefix length", s)
	}
	return p, "", nil
}

func parsePlace(s string) (place.Place, string, error) {
	p, err := place.Parse(s)
	if err == nil && p.Region == "" {
		err = errors.New("it has no region")
	}
	if err != nil {
		return place.Place{}, "a place is cloud/region: aws/us-east-1, onprem/berlin", fmt.Errorf("expected a place, found %q: %w", shorten(s), err)
	}
	return p, "", nil
}

func parseDigest(s string) (oci.Digest, string, error) {
	d, err := oci.ParseDigest(s)
	if err != nil {
		return d, "a digest is sha256: and 64 lower-case hexadecimal digits", fmt.Errorf("expected a digest, found %q", shorten(s))
	}
	return d, "", nil
}

// parseKey never shows what it refuses: it may be the private key.
func parseKey(s string) (ed25519.PublicKey, string, error) {
	k, err := key.Parse(s)
	return k, "oci-proxyctl key show FILE prints the public half of a key", err
}
