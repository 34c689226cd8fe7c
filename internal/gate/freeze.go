package gate

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // not every machine has the database, and a freeze must hold on all of them
)

// Freeze is a time in which no step begins: once, from From until Until, or every week.
type Freeze struct {
	Why   string    `yaml:"why" rule:"required"`
	From  time.Time `yaml:"from"`
	Until time.Time `yaml:"until"`
	// Weekly is a window such as Fri 15:00 - Mon 08:00.
	Weekly string `yaml:"weekly"`
	// Zone is the time zone of Weekly, such as Europe/Berlin; default UTC.
	Zone string `yaml:"zone"`
}

const weekly = "write it as Fri 15:00 - Mon 08:00"

func (f *Freeze) check(fail fail, path string) {
	once := !f.From.IsZero() || !f.Until.IsZero()
	switch {
	case once == (f.Weekly != ""):
		fail(path, "", "a freeze has from and until, or weekly")
	case once && !f.Until.After(f.From):
		fail(path, "a date begins at 00:00 UTC", "until is not after from")
	case once && f.Zone != "":
		fail(path+".zone", "write 2026-12-24T18:00:00+01:00", "zone belongs to weekly")
	}
	if f.Weekly == "" {
		return
	}
	if _, _, err := f.week(); err != nil {
		fail(path+".weekly", weekly, "%v", err)
	}
	if _, err := time.LoadLocation(f.Zone); err != nil {
		fail(path+".zone", "a name of the IANA database, such as Europe/Berlin", "%v", err)
	}
}

// week returns the two ends of a weekly window, in minutes since Sunday 00:00.
func (f *Freeze) week() (from, until int, err error) {
	a, b, ok := strings.Cut(f.Weekly, "-")
	if !ok {
		return 0, 0, fmt.Errorf("expected two times, found %.60q", f.Weekly)
	}
	if from, err = minuteOfWeek(a); err == nil {
		until, err = minuteOfWeek(b)
	}
	if err == nil && from == until {
		err = fmt.Errorf("%.60q has no length", f.Weekly)
	}
	return from, until, err
}

func minuteOfWeek(text string) (int, error) {
	t, err := time.Parse("Mon 15:04", strings.TrimSpace(text))
	if err != nil {
		return 0, fmt.Errorf("expected a day and a time, found %.60q", strings.TrimSpace(text))
	}
	day, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(d.String()[:3], day) {
			return int(d)*24*60 + t.Hour()*60 + t.Minute(), nil
		}
	}
	return 0, fmt.Errorf("unknown day %.20q", day)
}

// holds reports whether a freeze holds at a time.
func (f *Freeze) holds(now time.Time) bool {
	if f.Weekly == "" {
		return !now.Before(f.From) && now.Before(f.Until)
	}
	zone, err := time.LoadLocation(f.Zone)
	from, until, wrong := f.week()
	if err != nil || wrong != nil {
		return true // Parse refuses these
	}
	local := now.In(zone)
	at := int(local.Weekday())*24*60 + local.Hour()*60 + local.Minute()
	if from < until {
		return from <= at && at < until
	}
	return from <= at || at < until // over the end of the week
}

// Frozen returns the reason of a freeze that holds at a time; "" if none does.
func (f *File) Frozen(now time.Time) string {
	for i := range f.Freeze {
		if f.Freeze[i].holds(now) {
			return f.Freeze[i].Why
		}
	}
	return ""
}
