package console

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/browser"
	"ociproxy/test/demo"
)

// rebound and evil are names that resolve to this machine, as names of an attacker can.
const rebound, evil = "rebound.example", "evil.example"

// attack is a page of somebody else that knows the address of the console. It tries what a page can try, and says what it
// got.
const attack = `new Promise(done => {
	const base = %q, got = {};
	const names = ["fetch", "no-cors", "events", "socket", "script", "style", "image", "frame", "post"];
	const say = (name, what) => {
		if (got[name]) return;
		got[name] = what;
		if (names.every(n => got[n])) done(got);
	};
	const element = (name, tag, attributes) => {
		const e = document.createElement(tag);
		Object.assign(e, attributes);
		e.onload = () => say(name, "loaded");
		e.onerror = () => say(name, "error");
		document.body.append(e);
		return e;
	};
	fetch(base).then(r => r.text()).then(text => say("fetch", text), () => say("fetch", "error"));
	fetch(base + "metrics", {mode: "no-cors"}).then(r => r.text()).then(text => say("no-cors", text || "nothing"), () => say("no-cors", "error"));
	fetch(base + "log-level?level=debug", {method: "PUT"}).then(r => say("post", r.status), () => say("post", "error"));
	const events = new EventSource(base + "console/events");
	events.onerror = () => say("events", "error");
	events.onopen = () => say("events", "open");
	const socket = new WebSocket(base.replace("http", "ws") + "console/events");
	socket.onerror = () => say("socket", "error");
	socket.onopen = () => say("socket", "open");
	element("script", "script", {src: base + %q});
	element("style", "link", {rel: "stylesheet", href: base + %q});
	element("image", "img", {src: base + "explain?ip=192.0.2.7"});
	const frame = element("frame", "iframe", {src: base});
	frame.onload = () => {
		try { say("frame", frame.contentDocument && frame.contentDocument.body.innerText ? "read" : "error"); }
		catch { say("frame", "error"); }
	};
})`

// attacks checks that no page of another origin can read the console, use its event stream or make the admin port do
// something. It also checks that a name of an attacker that resolves to this machine is refused.
func attacks(t *testing.T, b *browser.Browser, d *demo.Demo, script, style string) {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprint(rw, `<!doctype html><title>elsewhere</title><body>`)
	}))
	defer s.Close()
	port := s.URL[strings.LastIndexByte(s.URL, ':'):]
	want := map[string]string{}
	for _, name := range []string{"fetch", "no-cors", "events", "socket", "script", "style", "image", "frame", "post"} {
		want[name] = "error"
	}
	// The same site on another port; another site; another site from which a browser sends less, because it is not secure.
	for _, host := range []string{"127.0.0.1", "localhost", evil} {
		t.Run(host, func(t *testing.T) {
			p := b.Page(t, browser.Look{})
			p.Open(t, "http://"+host+port+"/")
			got := browser.Eval[map[string]string](t, p, fmt.Sprintf(attack, d.Console, script, style))
			if got["no-cors"] == "nothing" { // an answer that the page cannot read is as good
				got["no-cors"] = "error"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what a page at %s gets (-want +got):\n%s", host, diff)
			}
			for _, r := range p.Requests() {
				if r.Kind == "EventSource" && r.Status == http.StatusOK {
					t.Errorf("the stream was opened: %+v", r)
				}
			}
			if p.Events() > 0 {
				t.Errorf("got %d events", p.Events())
			}
		})
	}
	t.Run("rebound", func(t *testing.T) {
		at, err := url.Parse(d.Console)
		if err != nil {
			t.Fatal(err)
		}
		base := "http://" + rebound + ":" + at.Port() + "/"
		p := b.Page(t, browser.Look{})
		p.Open(t, base) // shows the refusal, and is of the same origin as what it asks for
		got := browser.Eval[map[string]int](t, p, `Promise.all(["", "metrics", "explain?ip=192.0.2.7", "config", "overrides", "-/", "-/ready",
			"console/events", `+fmt.Sprintf("%q, %q", script, style)+`, "console/explain?ip=192.0.2.7", "debug/pprof/"].map(path =>
			fetch("/" + path).then(r => [path, r.status]))).then(Object.fromEntries)`)
		if len(got) != 12 || slices.ContainsFunc(slices.Collect(maps.Values(got)), func(status int) bool { return status != http.StatusMisdirectedRequest }) {
			t.Errorf("statuses %v", got)
		}
	})
}
