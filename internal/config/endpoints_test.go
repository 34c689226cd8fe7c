package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEndpointFaults(t *testing.T) {
	store := func(rest string) string {
		return "stores: [{name: a, place: aws/us-east-1, serves: [aws], url: 'https://a.example/{digest}', " + rest + "}]\n"
	}
	many := "[" + strings.Repeat("x.example, ", 17) + "y.example]"
	for text, want := range map[string]string{
		store("announce: {from: 10.12.2026}"):                    `announce.from: expected a date, found "10.12.2026"`,
		store("announce: {from: 2026-13-01}"):                    `announce.from: expected a date`,
		store("announce: {from: 0001-01-01}"):                    `announce.from: expected a date`,
		store("announce: {from: 2026-12-10 09:00}"):              `announce.from: expected a date`,
		store("announce: {from:}"):                               `announce.from: has no value`,
		store("announce: {from: 2026-12-10, until: 2026-12-10}"): `announce.until: until must be later than from`,
		store("announce: {form: 2026-12-10}"):                    `announce.form: unknown key "form"`,
		store("redirectsTo: ['https://b.example']"):              `redirectsTo[0]: not a host name: "https://b.example"`,
		store("redirectsTo: ['b.example/x']"):                    `redirectsTo[0]: not a host name: "b.example/x"`,
		store("redirectsTo: [B.example]"):                        `redirectsTo[0]: not a host name: "B.example"`,
		store("redirectsTo: ['a.*.example']"):                    `redirectsTo[0]: not a host name: "a.*.example"`,
		store("redirectsTo: ['*.example']"):                      `redirectsTo[0]: the wildcard "*.example" covers a whole top-level domain`,
		store("redirectsTo: ['b.example:0']"):                    `redirectsTo[0]: not a host name: "b.example:0"`,
		store("redirectsTo: [b.example, b.example]"):             `redirectsTo[1]: b.example is listed twice`,
		store("redirectsTo: " + many):                            `redirectsTo: 18 hosts are more than 16`,
		"endpoints: {wildcards: ['b.example.org']}\n":            `endpoints.wildcards[0]: "b.example.org" has no star`,
		"endpoints: {wildcards: ['*.b.example.org:8443']}\n":     `endpoints.wildcards[0]: not a host name`,
		"endpoints: {wildcards: ['*.*.example.org']}\n":          `endpoints.wildcards[0]: not a host name`,
		"endpoints: {notice: 14d}\n":                             `endpoints.notice: expected a duration`,
		"endpoints: {notice: 9000h}\n":                           `endpoints.notice: notice must be at most 8784h`,
		strings.Replace(upstream, "canonical: true", "canonical: true, announce: {until: 2026-12-10}", 1): `upstreams[0].announce: the canonical upstream cannot come or go on a date`,
	} {
		if !strings.Contains(text, "upstreams") {
			text += upstream
		}
		_, err := Parse("f", []byte("version: 1\n"+text))
		var faults *Errors
		if !errors.As(err, &faults) {
			t.Errorf("%s: no fault", text)
		} else if !strings.Contains(faults.List[0].Error(), want) {
			t.Errorf("%s: %v, want %s", text, faults.List[0], want)
		}
	}
}

// The state of a candidate follows its dates, except where users have allowed its hosts once and for all.
func TestAt(t *testing.T) {
	c, err := Parse("f", []byte(`version: 1
endpoints: {wildcards: ["*.free.example.org"]}
upstreams:
  - {name: main, url: "https://r.example", place: aws/us-east-1, canonical: true}
  - {name: replica, url: "https://eu.example", place: aws/eu-west-1, announce: {from: 2026-12-10, until: 2026-12-20}}
stores:
  - {name: plain, place: aws/us-east-1, serves: [aws], url: "https://a.example/{digest}"}
  - {name: from, place: aws/us-east-1, serves: [aws], url: "https://b.example/{digest}", announce: {from: "2026-12-10T09:00:00+01:00"}}
  - {name: until, place: aws/us-east-1, serves: [aws], url: "https://c.example/{digest}", announce: {until: 2026-12-10}}
  - {name: filling, place: aws/us-east-1, serves: [aws], url: "https://d.example/{digest}", state: filling, announce: {from: 2026-12-10}}
  - {name: "off", place: aws/us-east-1, serves: [aws], url: "https://e.example/{digest}", state: off, announce: {from: 2026-12-10, until: 2026-12-20}}
  - {name: covered, place: aws/us-east-1, serves: [aws], url: "https://f.free.example.org/{digest}", announce: {from: 2026-12-10, until: 2026-12-20}}
  - {name: goes-on, place: aws/us-east-1, serves: [aws], url: "https://g.free.example.org/{digest}", redirectsTo: [h.example], announce: {from: 2026-12-10}}
  - {name: goes-on-inside, place: aws/us-east-1, serves: [aws], url: "https://i.free.example.org/{digest}", redirectsTo: ["*.free.example.org", j.free.example.org], announce: {from: 2026-12-10}}
  - {name: port, place: aws/us-east-1, serves: [aws], url: "https://k.free.example.org:8443/{digest}", announce: {from: 2026-12-10}}
  - {name: redirect-port, place: aws/us-east-1, serves: [aws], url: "https://l.free.example.org:443/{digest}", redirectsTo: ["l.free.example.org:8443"], announce: {from: 2026-12-10}}
  - {name: deep, place: aws/us-east-1, serves: [aws], url: "https://m.deep.free.example.org/{digest}", announce: {from: 2026-12-10}}
`))
	if err != nil {
		t.Fatal(err)
	}
	before := []State{Active, Filling, Active, Filling, Active, Filling, Off, Active, Filling, Active, Filling, Filling, Filling}
	for at, want := range map[string][]State{
		"2026-12-09T23:59:59.9Z": before,
		"2026-12-10T00:00:00Z":   {Active, Active, Active, Filling, Draining, Filling, Off, Active, Active, Active, Active, Active, Active},
		"2026-12-10T08:00:00Z":   {Active, Active, Active, Active, Draining, Filling, Off, Active, Active, Active, Active, Active, Active},
		"2026-12-20T00:00:00Z":   {Active, Draining, Active, Active, Draining, Filling, Off, Draining, Active, Active, Active, Active, Active},
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		var got []State
		for _, cfg := range []*Config{c.At(now), c.At(now.In(time.FixedZone("", 7200)))} {
			got = nil
			for _, u := range cfg.Upstreams {
				got = append(got, u.State)
			}
			for _, s := range cfg.Stores {
				got = append(got, s.State)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %v\nwant %v", at, got, want)
			}
		}
	}
	if c.Stores[1].State != Active {
		t.Error("At changed its config")
	}
	for now, want := range map[string]string{
		"2026-11-30T00:00:00Z": "2026-12-10T00:00:00Z", "2026-12-10T00:00:00Z": "2026-12-10T08:00:00Z",
		"2026-12-10T08:00:00Z": "2026-12-20T00:00:00Z", "2026-12-20T00:00:00Z": "0001-01-01T00:00:00Z",
	} {
		at, _ := time.Parse(time.RFC3339, now)
		if got := c.NextDate(at).Format(time.RFC3339); got != want {
			t.Errorf("the date after %s is %s, want %s", now, got, want)
		}
	}
}

func TestNote(t *testing.T) {
	c, err := Parse("f", []byte("version: 1\n"+upstream+`stores:
  - {name: a, place: aws/us-east-1, serves: [aws], url: "https://a.example/{digest}", announce: {from: 2026-12-10, until: "2027-01-31T09:30:00Z"}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		state    State // in the file
		at, want string
	}{
		{Active, "2026-12-09", "announced for 2026-12-10: no traffic before"},
		{Filling, "2026-12-09", "announced for 2026-12-10: no traffic before"},
		{Draining, "2026-12-09", ""},
		{Active, "2026-12-10", ""},
		{Filling, "2026-12-10", ""}, // the operator did not make it active
		{Draining, "2026-12-10", ""},
		{Active, "2027-02-01", "announced until 2027-01-31T09:30:00Z: no new traffic since"},
		{Filling, "2027-02-01", ""},
		{Draining, "2027-02-01", "announced until 2027-01-31T09:30:00Z: no new traffic since"},
		{Off, "2027-02-01", ""},
	} {
		c.Stores[0].State = tt.state
		now, err := time.Parse(time.DateOnly, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		s := c.At(now).Stores[0]
		if got := s.Announce.Note(s.State); got != tt.want {
			t.Errorf("%s on %s: %q, want %q", tt.state, tt.at, got, tt.want)
		}
	}
}

// A list of endpoints without the registry's own name is a trap for those who follow it.
func TestUnnamedRegistryWarns(t *testing.T) {
	const text = `version: 1
location: aws/us-east-1
upstreams: [{name: main, url: "https://main.example", place: aws/us-east-1, canonical: true}]
`
	const direct = "names: [{hosts: [d.example], role: direct, candidates: [main]}]\n"
	for more, want := range map[string]bool{
		"": false, direct: false, // who publishes nothing on purpose may not care
		"endpoints: {notice: 336h}\n":                                                                                         true,
		"endpoints: {wildcards: ['*.blobs.example.org']}\n" + direct:                                                          true,
		"endpoints: {notice: 336h}\nnames: [{hosts: [registry.example.org]}]":                                                 false,
		"stores: [{name: a, cdn: fastly, serves: [all], url: 'https://a.example/{digest}', announce: {until: 2999-01-01}}]\n": true,
	} {
		c, err := Parse("c.yaml", []byte(text+more))
		if err != nil {
			t.Fatal(err)
		}
		got := slices.ContainsFunc(c.Warnings, func(w *Error) bool { return w.Path == "endpoints" && strings.Contains(w.Message, "registry itself") })
		if got != want {
			t.Errorf("%q: %v, %v", more, got, c.Warnings)
		}
	}
}
