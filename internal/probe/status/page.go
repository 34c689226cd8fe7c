package status

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"time"

	"ociproxy/internal/store"
)

//go:embed page.html
var pageText string

//go:embed status.css
var styleText []byte

//go:embed status.js
var scriptText []byte

// asset is a file that the page refers to. Its name has its hash, so that pages of two releases do not disturb each other.
type asset struct {
	Key, Integrity string
	text           []byte
	header         store.Header
}

var (
	style  = newAsset("css", "text/css; charset=utf-8", styleText)
	script = newAsset("js", "text/javascript; charset=utf-8", scriptText)
	assets = []asset{style, script}
)

func newAsset(ending, kind string, text []byte) asset {
	sum := sha256.Sum256(text)
	return asset{
		Key: "status-" + hex.EncodeToString(sum[:4]) + "." + ending, Integrity: "sha256-" + base64.StdEncoding.EncodeToString(sum[:]), text: text,
		header: store.Header{ContentType: kind, CacheControl: "public, max-age=31536000, immutable"},
	}
}

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what the template shows.
type page struct {
	*Document
	Title, DocumentKey                string
	Style, Script                     asset
	WrittenText, WrittenAt, StaleText string
	Overall                           State
	OverallText                       string
	Registries                        []registry
	DaysWidth, DayHeight, Kept        int
}

// page returns index.html. It has no style or script in it, so that its policy can forbid both.
func (d *Document) page() ([]byte, error) {
	v := page{
		Document: d, Title: "Registry status", DocumentKey: DocumentKey, Style: style, Script: script,
		WrittenText: clock(d.Written), WrittenAt: d.Written.Format(time.RFC3339), StaleText: span(time.Duration(d.StaleSeconds) * time.Second),
		DaysWidth: keepDays * dayWidth, DayHeight: dayHeight, Kept: keepDays,
	}
	var states []State
	for i := range d.Names {
		if r := newRegistry(&d.Names[i], d.Written); len(r.Rows) > 0 {
			v.Registries = append(v.Registries, r)
			states = append(states, r.State)
		}
	}
	if len(v.Registries) == 1 {
		v.Title = "Status of " + v.Registries[0].Name
	}
	v.Overall = together(states)
	v.OverallText = headlines[v.Overall]
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, v); err != nil {
		return nil, fmt.Errorf("the page of the public status: %w", err)
	}
	return b.Bytes(), nil
}

// registry is a name on the page.
type registry struct {
	Name, Word, Text string
	State            State
	Rows             []row
	Days             []dayMark
	DaysText         string
}

// row is what one vantage saw.
type row struct {
	Vantage, Word, Since, Checked, SinceAt, CheckedAt string
	State                                             State
	Day, Week, Quarter                                string
}

// dayMark is a day in the bar of 90 days. Its height tells what its colour tells, for those who do not see colours.
type dayMark struct {
	Class, Text     string
	X, Y, W, Height int
}

const (
	dayWidth  = 6
	dayHeight = 32
)

// newRegistry leaves out vantages that were not seen for as long as the history goes.
func newRegistry(n *Name, now time.Time) registry {
	r := registry{Name: n.Name, State: n.State, Word: words[n.State]}
	var down, known int
	var seen []*Vantage
	for i := range n.Vantages {
		v := &n.Vantages[i]
		if v.Checked.Before(now.Add(-keepDays * day)) {
			continue
		}
		seen = append(seen, v)
		if v.State != Unknown {
			known++
		}
		if v.State == Down {
			down++
		}
		r.Rows = append(r.Rows, row{
			Vantage: v.Vantage, State: v.State, Word: words[v.State], Checked: clock(v.Checked), CheckedAt: v.Checked.Format(time.RFC3339),
			Since: clock(v.Since), SinceAt: v.Since.Format(time.RFC3339),
			Day: percent(v.Available.Day), Week: percent(v.Available.Week), Quarter: percent(v.Available.Quarter),
		})
		if v.State == Unknown {
			r.Rows[len(r.Rows)-1].Since = ""
		}
	}
	switch {
	case known == 0:
		r.Text = "No check has ended lately. Nobody knows whether pulls work."
	case down > 0:
		r.Text = fmt.Sprintf("Pulls fail as seen from %s.", places(down, known))
	case r.State == Degraded:
		r.Text = "Pulls work where the checks run, but fail for some clients elsewhere or over one of IPv4 and IPv6."
	default:
		r.Text = fmt.Sprintf("Pulls work as seen from %s.", places(known, known))
	}
	r.Days, r.DaysText = marks(seen, now)
	return r
}

func places(n, of int) string {
	switch {
	case of == 1:
		return "the one place that checks"
	case n == of:
		return fmt.Sprintf("all %d places", of)
	default:
		return fmt.Sprintf("%d of %d places", n, of)
	}
}

// marks returns the days of the history, of all vantages together.
func marks(seen []*Vantage, now time.Time) (days []dayMark, text string) {
	today := now.UTC().Truncate(day)
	var without, failing int
	for i := range keepDays {
		begin := today.Add(-time.Duration(keepDays-1-i) * day)
		var runs, failed uint64
		for _, v := range seen {
			r, f := v.Days.at(begin, day)
			runs, failed = runs+uint64(r), failed+uint64(f)
		}
		m := dayMark{Class: "none", Text: begin.Format(time.DateOnly) + ": no checks", X: i * dayWidth, W: dayWidth - 1, Height: dayHeight / 8}
		if runs > 0 {
			share := float64(runs-failed) / float64(runs)
			m.Text = begin.Format(time.DateOnly) + ": " + percent(&share)
			switch {
			case failed == 0:
				m.Class, m.Height = string(Up), dayHeight/2
			case share >= 0.99:
				m.Class, m.Height = string(Degraded), dayHeight*3/4
			default:
				m.Class, m.Height = string(Down), dayHeight
			}
			if failed > 0 {
				failing++
			}
		} else {
			without++
		}
		m.Y = dayHeight - m.Height
		days = append(days, m)
	}
	return days, fmt.Sprintf("The last %d days: pulls failed on %d, and %d are without checks.", keepDays, failing, without)
}

var words = map[State]string{Up: "Working", Degraded: "Degraded", Down: "Down", Unknown: "Unknown"}

var headlines = map[State]string{
	Up: "Pulls work.", Degraded: "Some pulls fail.", Down: "Pulls fail.", Unknown: "The state is unknown.",
}

// percent never rounds up: what is not always is not 100.
func percent(share *float64) string {
	if share == nil || math.IsNaN(*share) {
		return "no data"
	}
	return strconv.FormatFloat(math.Floor(*share*1e4+1e-6)/1e2, 'f', -1, 64) + " %"
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// span returns a time as people say it.
func span(d time.Duration) string {
	if d < 2*time.Hour {
		return fmt.Sprintf("%d minutes", int(math.Ceil(d.Minutes())))
	}
	return fmt.Sprintf("%d hours", int(math.Ceil(d.Hours())))
}
