package logsource

import (
	"fmt"
	"strings"
	"time"

	"ociproxy/internal/traffic"
)

// dated is where a name has a date.
type dated struct {
	day  traffic.Day
	at   int    // where the date begins in the name
	form string // layout of the date there
}

// forms are the layouts of dates in names:
//
//   - Azure's resource logs: …/y=2026/m=12/d=10/h=05/m=00/PT1H.json
//   - S3 with date-based partitioning, ALB, and many others: …/2026/12/10/…
//   - S3 2026-12-10-05-…, CloudFront ID.2026-12-10-05.…, and whatever else has a date
//   - GCS: NAME_usage_2026_12_10_05_00_00_…
//   - ALB, Fastly and others: 20261210T0500Z
var forms = []string{"y=2006/m=01/d=02", "2006/01/02", "2006-01-02", "2006_01_02", "20060102"}

// dateIn finds the first date in a name. Names of S3 with date-based partitioning have the date twice, and S3 writes
// the date of the delivery, or of the requests, in both.
func dateIn(name string) (dated, bool) {
	for i := range len(name) {
		if c := name[i]; c != 'y' && (c < '1' || c > '2') || i > 0 && isDigit(name[i-1]) {
			continue
		}
		for _, form := range forms {
			end := i + len(form)
			if end > len(name) || end < len(name) && isDigit(name[end]) || !alike(form, name[i:end]) {
				continue
			}
			if at, err := time.Parse(form, name[i:end]); err == nil && at.Year() >= firstYear && at.Year() <= lastYear {
				return dated{traffic.DayOf(at), i, form}, true
			}
		}
	}
	return dated{}, false
}

// firstYear and lastYear bound dates: other numbers in names are not dates.
const firstYear, lastYear = 2006, 2199

// alike compares text with a layout, which has digits where text must have some.
func alike(form, text string) bool {
	for i := range form {
		if isDigit(form[i]) != isDigit(text[i]) || !isDigit(form[i]) && form[i] != text[i] {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// Days are the days to read. The zero value is all days.
type Days struct {
	Begin traffic.Day // the first one; 0: no limit
	End   traffic.Day // the day after the last one; 0: no limit
}

// Has reports whether the days have d.
func (d Days) Has(day traffic.Day) bool { return day >= d.Begin && (d.End == 0 || day < d.End) }

// String returns the days for messages.
func (d Days) String() string {
	switch {
	case d == Days{}:
		return "all days"
	case d.End == 0:
		return fmt.Sprintf("from %s on", d.Begin)
	case d.Begin == 0:
		return fmt.Sprintf("before %s", d.End)
	}
	return fmt.Sprintf("%s to %s", d.Begin, d.End-1)
}

// seek returns the name after which to go on listing when name has a day that is not wanted: right before the first
// wanted day, or behind the year, under the same beginning and in the same form. Other forms may lie beside it.
func (d Days) seek(name string, at dated) string {
	begin := d.Begin.Time()
	if at.day < d.Begin && at.day.Time().Year() == begin.Year() {
		return name[:at.at] + begin.Format(at.form)
	}
	year := at.at + strings.Index(at.form, "2006") + len("2006")
	switch at.form {
	case "20060102":
		return name[:year] + ":" // behind all digits
	case "y=2006/m=01/d=02":
		return name[:year+1] + "n" // behind m=
	}
	return name[:year+1] + ":"
}
