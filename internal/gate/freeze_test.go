package gate

import (
	"testing"
	"time"
)

// TestFrozen: the calendar in time zones, over the ends of weeks, and when the clocks change.
func TestFrozen(t *testing.T) {
	const weekend = `weekly: "Fri 15:00 - Mon 08:00", zone: Europe/Berlin`
	for _, tt := range []struct{ freeze, at, want string }{
		{weekend, "2026-11-27T13:59:59Z", ""}, // winter: UTC+1
		{weekend, "2026-11-27T14:00:00Z", "x"},
		{weekend, "2026-11-29T12:00:00Z", "x"},
		{weekend, "2026-11-30T06:59:59Z", "x"},
		{weekend, "2026-11-30T07:00:00Z", ""},
		{weekend, "2026-07-03T12:59:59Z", ""}, // summer: UTC+2
		{weekend, "2026-07-03T13:00:00Z", "x"},
		{weekend, "2026-07-06T05:59:59Z", "x"},
		{weekend, "2026-07-06T06:00:00Z", ""},
		{weekend, "2026-03-27T13:59:59Z", ""}, // the clocks change on Sunday 2026-03-29: it begins in UTC+1
		{weekend, "2026-03-27T14:00:00Z", "x"},
		{weekend, "2026-03-30T05:59:59Z", "x"}, // and ends in UTC+2
		{weekend, "2026-03-30T06:00:00Z", ""},
		{weekend, "2026-10-23T13:00:00Z", "x"}, // back on Sunday 2026-10-25
		{weekend, "2026-10-26T06:59:59Z", "x"},
		{weekend, "2026-10-26T07:00:00Z", ""},
		{`weekly: "Sun 02:15 - Sun 02:45", zone: Europe/Berlin`, "2026-03-29T01:00:00Z", ""},  // 02:15 does not exist on that day
		{`weekly: "Sun 02:15 - Sun 02:45", zone: Europe/Berlin`, "2026-10-25T00:30:00Z", "x"}, // and exists twice on this one
		{`weekly: "Sun 02:15 - Sun 02:45", zone: Europe/Berlin`, "2026-10-25T01:30:00Z", "x"},
		{`weekly: "Sun 02:15 - Sun 02:45", zone: Europe/Berlin`, "2026-10-25T01:00:00Z", ""},
		{`weekly: "Mon 09:00 - Mon 10:00"`, "2026-11-30T09:00:00Z", "x"}, // UTC unless there is a zone
		{`weekly: "Mon 09:00 - Mon 10:00"`, "2026-11-30T10:00:00Z", ""},
		{`weekly: "mon 10:00 - Mon 09:00"`, "2026-11-30T09:30:00Z", ""}, // all the week but an hour
		{`weekly: "mon 10:00 - Mon 09:00"`, "2026-12-03T00:00:00Z", "x"},
		{`weekly: "Mon 09:00 - Mon 10:00", zone: Asia/Kolkata`, "2026-11-30T03:30:00Z", "x"}, // UTC+5:30
		{`weekly: "Mon 09:00 - Mon 10:00", zone: Pacific/Kiritimati`, "2026-11-29T19:00:00Z", "x"},
		{`from: 2026-12-20, until: 2027-01-04`, "2026-12-19T23:59:59Z", ""}, // a date begins at 00:00 UTC
		{`from: 2026-12-20, until: 2027-01-04`, "2026-12-20T00:00:00Z", "x"},
		{`from: 2026-12-20, until: 2027-01-04`, "2027-01-03T23:59:59Z", "x"},
		{`from: 2026-12-20, until: 2027-01-04`, "2027-01-04T00:00:00Z", ""},
		{`from: 2026-12-20T18:00:00+01:00, until: 2026-12-20T19:00:00+01:00`, "2026-12-20T17:00:00Z", "x"},
	} {
		f := parse(t, "gates: [{name: a, expr: x, max: 1}]\nfreeze: [{why: x, "+tt.freeze+"}]\n")
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Frozen(at); got != tt.want {
			t.Errorf("%s at %s: %q, want %q", tt.freeze, tt.at, got, tt.want)
		}
	}
}

// TestFrozenFirst: the first freeze that holds gives the reason.
func TestFrozenFirst(t *testing.T) {
	f := parse(t, "gates: [{name: a, expr: x, max: 1}]\nfreeze: [{why: past, from: 2020-01-01, until: 2020-01-02}, {why: a, from: 2026-01-01, until: 2026-02-01}, {why: b, from: 2026-01-01, until: 2026-02-01}]\n")
	if got := f.Frozen(time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)); got != "a" {
		t.Error(got)
	}
}
