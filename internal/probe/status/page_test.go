package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// at is when the pages of the tests are written.
var at = time.Date(2026, 11, 30, 12, 34, 56, 0, time.UTC)

// seen returns a document in which vantages saw states just now.
func seen(t *testing.T, states ...State) *Document {
	t.Helper()
	d := new(Document)
	for i, s := range states {
		v, err := d.vantage("r.example", fmt.Sprint("v", i))
		if err != nil {
			t.Fatal(err)
		}
		v.add([]Run{{at, s}}, at, leastStale)
	}
	d.finish(at)
	return d
}

// TestSentences: what a reader sees first.
func TestSentences(t *testing.T) {
	for want, states := range map[string][]State{
		"Pulls work. Pulls work as seen from the one place that checks.":                                                      {Up},
		"Pulls work. Pulls work as seen from all 2 places.":                                                                   {Up, Up, Unknown},
		"Some pulls fail. Pulls fail as seen from 1 of 3 places.":                                                             {Up, Down, Degraded},
		"Pulls fail. Pulls fail as seen from all 2 places.":                                                                   {Down, Down},
		"Some pulls fail. Pulls work where the checks run, but fail for some clients elsewhere or over one of IPv4 and IPv6.": {Up, Degraded},
		"The state is unknown. No check has ended lately. Nobody knows whether pulls work.":                                   {Unknown},
	} {
		d := seen(t, states...)
		page, err := d.page()
		if err != nil {
			t.Fatal(err)
		}
		head, text, _ := strings.Cut(want, ". ")
		for _, part := range []string{"<strong>" + head + ".</strong>", "</span> " + text + "</p>", "<title>Status of r.example: " + head + ".</title>"} {
			if !strings.Contains(string(page), part) {
				t.Errorf("%v: the page lacks %q", states, part)
			}
		}
	}
}

// TestNoMarkup: the page has no style, script or address of another host in it, so that its policy can forbid them.
func TestNoMarkup(t *testing.T) {
	page, err := seen(t, Up).page()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{" style=", "<style", "<script>", "javascript:", "http://", "https://", " on" + "click", "'unsafe"} {
		if strings.Contains(string(page), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if !IsPage(page[:512]) || IsPage([]byte("<html lang=en>")) {
		t.Error("the beginning does not tell whose page it is")
	}
	if empty, err := new(Document).page(); err != nil || !strings.Contains(string(empty), "The state is unknown.") {
		t.Errorf("%v: a page without names", err)
	}
}

// TestPercent: nothing that failed once is 100 %.
func TestPercent(t *testing.T) {
	got := map[float64]string{}
	for _, share := range []float64{0, 0.5, 0.9742, 0.99994, 0.999999, 1} {
		got[share] = percent(&share)
	}
	want := map[float64]string{0: "0 %", 0.5: "50 %", 0.9742: "97.42 %", 0.99994: "99.99 %", 0.999999: "99.99 %", 1: "100 %"}
	if diff := cmp.Diff(want, got); diff != "" || percent(nil) != "no data" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestMarks: the days of all vantages, and which of them nobody saw.
func TestMarks(t *testing.T) {
	d := new(Document)
	for vantage, failed := range map[string]bool{"oslo": false, "lima": true} {
		v, err := d.vantage("r.example", vantage)
		if err != nil {
			t.Fatal(err)
		}
		for _, ago := range []int{100, 89, 3, 0} {
			for range 100 {
				v.Days.add(at.Add(-time.Duration(ago)*day), day, keepDays, failed && ago == 3)
			}
		}
		v.Checked = at
	}
	days, text := marks([]*Vantage{&d.Names[0].Vantages[0], &d.Names[0].Vantages[1]}, at)
	got := map[string]int{}
	for _, m := range days {
		got[m.Class]++
	}
	if diff := cmp.Diff(map[string]int{"up": 2, "down": 1, "none": 87}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if want := "2026-11-27: 50 %"; days[keepDays-4].Text != want {
		t.Errorf("%q, want %q", days[keepDays-4].Text, want)
	}
	if want := "The last 90 days: pulls failed on 1, and 87 are without checks."; text != want {
		t.Errorf("%q, want %q", text, want)
	}
}
