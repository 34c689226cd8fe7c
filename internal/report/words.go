package report

import (
	"math"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
	"ociproxy/internal/price"
)

// percent returns a share for people: 97.6%. It never rounds up to 100%, or down to 0%.
func percent(share float64) string {
	p := math.Round(share*1000) / 10
	switch {
	case p >= 100 && share < 1:
		return "over 99.9%"
	case p == 0 && share > 0:
		return "under 0.1%"
	}
	return strconv.FormatFloat(p, 'f', -1, 64) + "%"
}

// count returns a number of requests for people: 12,345.
func count(n float64) string { return humanize.Comma(int64(math.Round(n))) }

// size returns a number of bytes for people, in the decimal units of most bills: 12.3 TB.
func size(bytes float64) string {
	const kilo = 1000
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	i := 0
	for ; math.Abs(bytes) >= kilo*0.9995 && i+1 < len(units); i++ {
		bytes /= kilo
	}
	digits := 1
	if i == 0 || math.Abs(bytes) >= 99.95 {
		digits = 0
	}
	return strconv.FormatFloat(bytes, 'f', digits, 64) + " " + units[i]
}

// quantity returns a quantity of a bill, which is in the base of the unit, in the unit.
func quantity(base float64, unit string) string {
	n := base
	if strings.HasSuffix(unit, "requests") { // "120 1k requests" would be hard to read
		return count(base) + " requests"
	}
	if each := price.Unit(unit).Size(); each > 0 {
		n /= each
	}
	digits := 0
	if math.Abs(n) < 100 {
		digits = 2
	}
	return strings.TrimSpace(humanize.CommafWithDigits(n, digits) + " " + unit)
}

// dollars returns an amount for people: $1,234.56, and whole dollars from $10,000.
func dollars(usd float64) string {
	const whole = 10_000
	switch {
	case math.Round(math.Abs(usd)*100) > 0:
		return cli.USD(usd, whole)
	case usd < 0:
		return "-under 1 cent"
	case usd > 0:
		return "under 1 cent"
	}
	return "$0"
}

// span returns an amount with its range: $12 ($10 to $14).
func (m Money) span() string {
	if math.Round(m.Low*100) == math.Round(m.High*100) {
		return dollars(m.USD)
	}
	return dollars(m.USD) + " (" + dollars(m.Low) + " to " + dollars(m.High) + ")"
}
