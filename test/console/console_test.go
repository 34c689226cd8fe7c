// Package console looks at the console with a real browser, while the demo's clients pull.
package console

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"ociproxy/test/browser"
	"ociproxy/test/demo"
	"ociproxy/test/parts"
)

// store is the one that is stopped, and rival gets the traffic of its clients.
const store, rival = "aws-us-east-1", "us"

// TestSlowConsole looks at the console as people do, while the demo's clients pull. The screenshots in the directory out
// of this module are for people too.
func TestSlowConsole(t *testing.T) {
	parts.Slow(t)
	d := demo.Start(t)
	b := browser.Start(t, rebound, evil)
	p := b.Page(t, browser.Look{})
	if !t.Run("first visit", func(t *testing.T) { firstVisit(t, p, d) }) {
		t.FailNow() // the rest would only wait
	}
	var script, style string
	for _, r := range p.Requests() {
		path := strings.TrimPrefix(r.URL, d.Console)
		switch r.Kind {
		case "Script":
			script = path
		case "Stylesheet":
			style = path
		}
	}
	t.Run("looks", func(t *testing.T) { looks(t, p, "well") })
	t.Run("renewed", func(t *testing.T) { renewed(t, p) })
	t.Run("explain", func(t *testing.T) { explain(t, p, d) })
	t.Run("no script", func(t *testing.T) { noScript(t, b, d) })
	t.Run("attacks", func(t *testing.T) { attacks(t, b, d, script, style) })
	t.Run("outage", func(t *testing.T) { outage(t, p, d) })
	well(t, p, d)
}

// well checks that the browser complained about nothing, and that the page asked nobody else for anything.
func well(t *testing.T, p *browser.Page, d *demo.Demo) {
	t.Helper()
	for _, c := range p.Complaints() {
		t.Errorf("complaint: %s", c)
	}
	for _, r := range p.Requests() {
		if !strings.HasPrefix(r.URL, d.Console) && !strings.HasPrefix(r.URL, "data:") {
			t.Errorf("a request to another origin: %+v", r)
		}
	}
}

// firstVisit opens the console and waits until it shows what flows.
func firstVisit(t *testing.T, p *browser.Page, d *demo.Demo) {
	p.Open(t, d.Console)
	p.Wait(t, "flows of the demo's clients", `(() => {
		const flows = document.querySelector("#flows");
		for (const text of ["aws/us-east-1", "aws/eu-west-1", "`+store+`", "cdn"])
			if (!flows || !flows.textContent.includes(text)) return "no " + text;
		return document.querySelectorAll("#map .arcs path").length < 8 ? "few arcs on the map" : "";
	})()`)
	if p.Events() == 0 {
		t.Error("no event came")
	}
	paint := browser.Eval[float64](t, p, `performance.getEntriesByName("first-contentful-paint")[0].startTime`)
	bytes := 0
	for _, r := range p.Requests() {
		if r.Kind == "EventSource" {
			continue
		}
		t.Logf("%s %s: %d, %d bytes", r.Kind, strings.TrimPrefix(r.URL, d.Console), r.Status, r.Bytes)
		bytes += r.Bytes
	}
	t.Logf("first visit: %d bytes with headers, first contentful paint after %.0f ms", bytes, paint)
	if bytes == 0 || bytes > 150<<10 {
		t.Errorf("%d bytes, want at most 150 KiB", bytes)
	}
}

// looks checks the page in the sizes and colours that people have, and takes screenshots.
func looks(t *testing.T, p *browser.Page, name string) {
	for _, l := range []browser.Look{
		{Width: 360, Height: 640, Touch: true}, {Width: 360, Height: 640, Touch: true, Dark: true},
		{Width: 1280, Height: 800}, {Width: 1280, Height: 800, Dark: true, LessMoved: true},
		{Width: 3840, Height: 2160}, {Width: 3840, Height: 2160, Dark: true},
	} {
		colour := "light"
		if l.Dark {
			colour = "dark"
		}
		what := fmt.Sprintf("%s-%d-%s", name, l.Width, colour)
		p.Look(t, l)
		if w := p.Sideways(t); w > 0 {
			t.Errorf("%s: %d pixels wider than the window", what, w)
		}
		for _, found := range p.Axe(t) {
			t.Errorf("%s: axe: %s", what, found)
		}
		p.Screenshot(t, what)
	}
	p.Look(t, browser.Look{})
}

// renewed checks that sections which are renewed keep the focus, and that one with selected text waits, and no longer than that.
func renewed(t *testing.T, p *browser.Page) {
	mark := func() {
		browser.Eval[bool](t, p, `window.marked = {}, ["candidates", "flows"].forEach(id => marked[id] = document.querySelector("#" + id + " table")), true`)
	}
	isNew := func(id string) string {
		return `document.querySelector("#` + id + ` table") === marked["` + id + `"] ? "the old one" : ""`
	}
	browser.Eval[bool](t, p, `document.querySelector("#candidates [data-keep]").focus(), true`)
	mark()
	p.Wait(t, "the candidates are renewed", isNew("candidates"))
	if focus := browser.Eval[string](t, p, `document.activeElement.dataset.keep || document.activeElement.tagName`); focus != "candidates" {
		t.Errorf("the focus went to %s", focus)
	}
	browser.Eval[bool](t, p, `getSelection().selectAllChildren(document.querySelector("#candidates tbody th")), true`)
	mark()
	for range 2 {
		p.Wait(t, "the flows are renewed", isNew("flows"))
		if browser.Eval[string](t, p, isNew("candidates")) == "" {
			t.Error("the selected text was replaced")
		}
		browser.Eval[bool](t, p, `marked.flows = document.querySelector("#flows table"), true`)
	}
	browser.Eval[bool](t, p, `getSelection().removeAllRanges(), true`)
	p.Wait(t, "the candidates are renewed after the selection", isNew("candidates"))
}

// explain asks the box where a client is sent. The page answers in its place.
func explain(t *testing.T, p *browser.Page, d *demo.Demo) {
	before := len(p.Requests())
	p.Type(t, "input[name=ip]", "192.0.2.7")
	p.Wait(t, "an explanation", explained("aws/us-east-1", store))
	for _, r := range p.Requests()[before:] {
		if r.Kind == "Document" {
			t.Errorf("the page was loaded again: %s", r.URL)
		}
	}
	p.Type(t, "input[name=path]", d.Layer)
	p.Wait(t, "the address of a layer", explained("307", "http://127.0.0.1:", d.Layer[strings.LastIndexByte(d.Layer, '/')+1:]))
	p.Type(t, "input[name=ip]", "nonsense<b>")
	p.Wait(t, "what is wrong with the address", explained("nonsense<b>"))
	for _, found := range p.Axe(t) {
		t.Errorf("axe: %s", found)
	}
}

// explained is a script for Wait: the section of the box has all texts.
func explained(texts ...string) string {
	return fmt.Sprintf(`(() => {
		const text = document.querySelector("#explain").textContent;
		return %q.split("|").filter(t => !text.includes(t)).map(t => "no " + t + " in " + text).join("; ");
	})()`, strings.Join(texts, "|"))
}

// noScript uses the console without JavaScript.
func noScript(t *testing.T, b *browser.Browser, d *demo.Demo) {
	p := b.Page(t, browser.Look{NoScript: true})
	p.Open(t, d.Console)
	if n := browser.Eval[int](t, p, `document.querySelectorAll("#flows tr").length`); n < 5 {
		t.Errorf("%d rows of flows", n)
	}
	if refresh := browser.Eval[bool](t, p, `document.querySelector("noscript meta[http-equiv=refresh]") !== null`); !refresh {
		t.Error("the page does not load itself again")
	}
	p.Type(t, "input[name=ip]", "192.0.2.7")
	p.Wait(t, "an explanation", explained("aws/us-east-1", store))
	at, err := url.Parse(browser.Eval[string](t, p, `location.href`))
	if err != nil || at.Query().Get("ip") != "192.0.2.7" {
		t.Errorf("at %s, %v", at, err)
	}
	if w := p.Sideways(t); w > 0 {
		t.Errorf("%d pixels wider than the window", w)
	}
	p.Screenshot(t, "noscript-1280-light")
	p.Look(t, browser.Look{}) // axe needs timers; the page's own script stays as it is until the page is loaded again
	// Without script a page is up to date only if it loads itself again.
	for _, found := range p.Axe(t, "meta-refresh") {
		t.Errorf("axe: %s", found)
	}
	well(t, p, d)
	if p.Events() > 0 {
		t.Error("events without script")
	}
}

// outage stops a store and reads on the page what an on-call must know: which store, since when, where its traffic goes,
// what that costs. Then it starts the store again.
func outage(t *testing.T, p *browser.Page, d *demo.Demo) {
	documents := len(p.Requests())
	mark := d.Mark()
	stopped := d.Turn(t, store)
	p.Wait(t, "the headline names the store", headline(store))
	red := time.Since(stopped)
	d.Noticed(t, mark, store, "ejected")
	t.Logf("the headline names the store %.1f s after it was stopped", red.Seconds())
	p.Wait(t, "where its traffic goes and what that costs", headline(store, "since", rival, "$"))
	t.Logf("the headline has everything %.1f s after the store was stopped: %s", time.Since(stopped).Seconds(),
		browser.Eval[string](t, p, `document.querySelector("[aria-live=polite]").textContent.trim().replace(/\s+/g, " ")`))
	p.Wait(t, "the store is out on the map, by shape and text too", `(() => {
		const out = document.querySelector("#map .dots .out");
		return out && out.querySelector(".halo") && out.textContent.includes("`+store+`") ? "" : "no dot";
	})()`)
	looks(t, p, "out")
	mark = d.Mark()
	d.Turn(t, store)
	d.Noticed(t, mark, store, "readmitted")
	p.Wait(t, "the headline no longer names the store", `document.querySelector("[aria-live=polite]").textContent.includes("`+store+`") ? "it does" : ""`)
	p.Wait(t, "the transitions", `["out of service", "in service"].filter(t => !document.querySelector("#events").textContent.includes(t)).join(" ")`)
	for _, r := range p.Requests()[documents:] {
		t.Errorf("the page asked for %s: it should need no more than its events", r.URL)
	}
}

// headline is a script for Wait: the headline has all texts.
func headline(texts ...string) string {
	return fmt.Sprintf(`(() => {
		const text = document.querySelector("[aria-live=polite]").textContent;
		return %q.split("|").filter(t => !text.includes(t)).map(t => "no " + t + " in " + text).join("; ");
	})()`, strings.Join(texts, "|"))
}
