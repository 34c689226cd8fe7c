package focus

import (
	"strconv"
	"strings"

	"ociproxy/internal/price"
)

// measure is a unit of a bill: how much of the base one unit is.
type measure struct {
	size float64
	base string // of price.Unit
	// hours reports that the size is for one hour, not for one month.
	hours bool
}

// words are the words for units, without blanks, dots and dashes, in lower case and without the plural s. "gb" is
// not here: each provider means another size by it.
var words = map[string]measure{
	"byte": {1, baseBytes, false}, "by": {1, baseBytes, false}, "b": {1, baseBytes, false},
	"gib": of(price.GiB), "gibibyte": of(price.GiB), "giby": of(price.GiB),
	"tib": of(price.TiB), "tebibyte": of(price.TiB), "tiby": of(price.TiB),
	"mib": {1 << 20, baseBytes, false}, "mebibyte": {1 << 20, baseBytes, false}, "miby": {1 << 20, baseBytes, false},
	"kib": {1 << 10, baseBytes, false}, "kibibyte": {1 << 10, baseBytes, false},
	"request": of(price.Requests), "count": of(price.Requests), "operation": of(price.Requests), "unit": of(price.Requests),
	"transaction": of(price.Requests), "apirequest": of(price.Requests), "apicall": of(price.Requests), "call": of(price.Requests),
	"object": of(price.Requests), "quantity": of(price.Requests), "": of(price.Requests), "1": of(price.Requests),
}

func of(u price.Unit) measure { return measure{u.Size(), u.Base(), false} }

// decimal are the words that mean a power of ten in the specification, and a power of two on most clouds' bills.
var decimal = map[string]struct{ ten, two measure }{
	"kb": {measure{1e3, baseBytes, false}, words["kib"]}, "kilobyte": {measure{1e3, baseBytes, false}, words["kib"]},
	"mb": {measure{1e6, baseBytes, false}, words["mib"]}, "megabyte": {measure{1e6, baseBytes, false}, words["mib"]},
	"gb": {of(price.GB), of(price.GiB)}, "gigabyte": {of(price.GB), of(price.GiB)},
	"tb": {of(price.TB), of(price.TiB)}, "terabyte": {of(price.TB), of(price.TiB)},
}

// parseUnit reads the unit of a quantity, such as "GB", "1 GB/Month", "GiBy.mo", "byte-seconds", "10K" or "Requests".
// gb is what the provider means by GB. The last result is false for a unit that it does not know.
func parseUnit(s string, gb price.Unit) (measure, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	block := 1.0
	if end := len(s) - len(strings.TrimLeft(s, "0123456789.,")); end > 0 {
		n, err := strconv.ParseFloat(strings.ReplaceAll(s[:end], ",", ""), 64)
		if err != nil || !(n > 0) || n > maxAmount {
			return measure{}, false
		}
		block, s = n, strings.TrimSpace(s[end:])
		// "10K", "1M requests", "1 million"
		for _, k := range []struct {
			word string
			n    float64
		}{{"million", 1e6}, {"thousand", 1e3}, {"k", 1e3}, {"m", 1e6}} {
			if rest, ok := strings.CutPrefix(s, k.word); ok && (rest == "" || rest[0] == ' ' || rest[0] == '/') {
				block, s = block*k.n, strings.TrimSpace(rest)
				break
			}
		}
	}
	word, per := split(s)
	m, ok := words[word]
	if d, two := decimal[word]; two {
		ok = true
		if m = d.ten; gb == price.GiB {
			m = d.two
		}
	}
	if !ok {
		return measure{}, false
	}
	m.size *= block
	switch per {
	case "":
		return m, true
	case "month", "mo":
		if m.base == baseRequests {
			return m, true // "1/Month"
		}
		m.base = baseByteMonths
	case "hour", "hr", "h":
		m.base, m.hours = baseByteMonths, true
	case "day":
		m.base, m.hours, m.size = baseByteMonths, true, m.size*24
	case "second", "sec", "s":
		m.base, m.hours, m.size = baseByteMonths, true, m.size/3600
	default:
		return measure{}, false
	}
	return m, true
}

// split divides "gb/month", "giby.mo", "gb-mo" or "byte-seconds" into what is measured and for how long. Both are
// without the plural s.
func split(s string) (word, per string) {
	s = strings.NewReplacer(" per ", "/", ".", "/", "-", "/", "_", "/", " ", "/").Replace(s)
	word, per, _ = strings.Cut(s, "/")
	if per == "" {
		for _, end := range []string{"months", "month", "mo", "hours", "hrs"} { // GBMonth
			if head, ok := strings.CutSuffix(word, end); ok && head != "" {
				word, per = head, end
				break
			}
		}
	}
	singular := func(s string) string {
		if len(s) > 1 {
			return strings.TrimSuffix(s, "s")
		}
		return s
	}
	return singular(strings.ReplaceAll(word, "/", "")), singular(strings.ReplaceAll(per, "/", ""))
}

// quantity returns a quantity in its base. hours is how long the month is.
func (m measure) quantity(n, hours float64) float64 {
	if m.hours {
		return n * m.size / hours
	}
	return n * m.size
}
