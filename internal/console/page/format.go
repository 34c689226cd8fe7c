package page

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
)

// nothing stands for a value that is not known.
const nothing = "–"

// speed writes bytes a second: "3.1 MiB/s".
func speed(bytes float64) string {
	if !(bytes >= 0 && bytes < math.MaxInt64) {
		return nothing
	}
	return humanize.IBytes(uint64(bytes)) + "/s"
}

// dollars writes an amount: "$1.23", small ones with two digits that count: "$0.0031".
func dollars(usd float64) string {
	if math.IsNaN(usd) || math.IsInf(usd, 0) {
		return nothing
	}
	size := math.Abs(usd)
	const whole = 10_000
	switch {
	case size >= 0.095:
		return cli.USD(usd, whole)
	case size < 0.000005:
		return "$0"
	}
	places := 1 - int(math.Floor(math.Log10(size)))
	amount := strconv.FormatFloat(size, 'f', min(places, 6), 64)
	if usd < 0 {
		return "-$" + amount
	}
	return "$" + amount
}

// cents writes the price of a GiB, which is in US cents.
func cents(price float64) string {
	if !(price >= 0) || math.IsInf(price, 0) {
		return nothing
	}
	return dollars(price / 100)
}

// perSecond writes a number of requests a second.
func perSecond(n float64) string {
	switch {
	case math.IsNaN(n) || math.IsInf(n, 0) || n < 0:
		return nothing
	case n == 0:
		return "0/s"
	case n < 0.1:
		return "<0.1/s"
	case n < 99.95:
		return strconv.FormatFloat(n, 'f', 1, 64) + "/s"
	}
	return count(int(math.Round(min(n, 1e15)))) + "/s"
}

// tenths writes a number with one digit after the point.
func tenths(x float64, unit string) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nothing
	}
	return strconv.FormatFloat(x, 'f', 1, 64) + unit
}

// count writes a number: "19,296".
func count(n int) string { return humanize.Comma(int64(n)) }

// digest is one as errors of stores name it: so long that nobody reads what follows.
var digest = regexp.MustCompile(`\b(sha256:[0-9a-f]{12})[0-9a-f]{20,}`)

// short shortens an error for a line of its own, and the digests in it. The transitions have all of it.
func short(text string) string {
	const most = 160
	r := []rune(digest.ReplaceAllString(text, "$1…"))
	if len(r) <= most {
		return string(r)
	}
	return strings.TrimSpace(string(r[:most])) + "…"
}

// age writes how long something took or is ago: "12 s", "4 min", "3 h 20 min", "5 days".
func age(d time.Duration) string {
	const day = 24 * time.Hour
	n := func(whole time.Duration) string { return strconv.FormatInt(int64(d/whole), 10) }
	switch {
	case d < 0:
		return nothing
	case d < 2*time.Minute:
		return n(time.Second) + " s"
	case d < 2*time.Hour:
		return n(time.Minute) + " min"
	case d < 2*day:
		text := n(time.Hour) + " h"
		if m := d % time.Hour / time.Minute; m > 0 && d < 10*time.Hour {
			text += " " + strconv.Itoa(int(m)) + " min"
		}
		return text
	}
	return n(day) + " days"
}

// moment is a point in time for people and for programs.
type moment struct {
	Text string // 12:03:10, with the day if it is another one than now; "" if it is not known
	ISO  string
	Ago  string // "4 min"
}

func newMoment(t, now time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	t, now = t.UTC(), now.UTC()
	layout := "15:04:05"
	if t.Format(time.DateOnly) != now.Format(time.DateOnly) {
		layout = "2 Jan 15:04:05"
	}
	return moment{t.Format(layout), t.Format(time.RFC3339), age(max(0, now.Sub(t)))}
}

// list writes "a", "a and b", "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
