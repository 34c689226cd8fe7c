// Package browser is a real Chromium without a window, for tests of pages. It records all that a page asks for and all that
// the browser complains about.
//
// It does not know which page it shows.
package browser

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"ociproxy/test/parts"
)

// Limit is how long one action may take on a busy machine.
const Limit = time.Minute

// Browser is a running Chromium. It ends with the test that started it.
type Browser struct{ ctx context.Context }

// Start starts Chromium. All names except localhost and the given ones, which are names of 127.0.0.1, do not exist for
// it. So it asks nobody else, and a page cannot either.
func Start(t testing.TB, names ...string) *Browser {
	t.Helper()
	var rules []string
	for _, name := range names {
		rules = append(rules, "MAP "+name+" 127.0.0.1")
	}
	rules = append(rules, "MAP * ~NOTFOUND", "EXCLUDE localhost", "EXCLUDE 127.0.0.1")
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(parts.Find(t, "chromium")), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(parts.ShortDir(t)), chromedp.Env(parts.Env(t)...),
		chromedp.Flag("host-resolver-rules", strings.Join(rules, ", ")),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("lang", "en-US"))
	ctx, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), opts...)
	ctx, end := chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() { end(); stop() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return &Browser{ctx}
}

// Look is how a page is looked at.
type Look struct {
	Width, Height    int // of the window, in CSS pixels; 0: 1280 × 800
	Dark             bool
	NoScript         bool
	Touch, LessMoved bool // a phone; a person who wants reduced motion
}

// Page is a tab. Use it from one goroutine.
type Page struct {
	ctx context.Context
	*record
}

// Page opens an empty tab, which is closed when the test ends.
func (b *Browser) Page(t testing.TB, l Look) *Page {
	t.Helper()
	r := &record{requests: map[network.RequestID]*Request{}}
	ctx, end := chromedp.NewContext(b.ctx, chromedp.WithListener(r.event))
	t.Cleanup(end)
	p := &Page{ctx, r}
	p.do(t, "open a tab",
		call(network.Enable, network.EnableParams{}), call(log.Enable, cdp.Empty{}), call(audits.Enable, cdp.Empty{}),
		call(network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true}))
	p.Look(t, l)
	return p
}

// Look changes how the page is looked at.
func (p *Page) Look(t testing.TB, l Look) {
	t.Helper()
	media := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}, {Name: "prefers-reduced-motion", Value: "no-preference"}}
	if l.Dark {
		media[0].Value = "dark"
	}
	if l.LessMoved {
		media[1].Value = "reduce"
	}
	var touch []chromedp.EmulateViewportOption
	if l.Touch {
		touch = append(touch, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	p.do(t, "look otherwise",
		chromedp.EmulateViewport(int64(cmp.Or(l.Width, 1280)), int64(cmp.Or(l.Height, 800)), touch...),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: media}),
		call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: l.NoScript}))
}

// Open opens an address and waits until the page is loaded.
func (p *Page) Open(t testing.TB, url string) {
	t.Helper()
	p.do(t, "open "+url, chromedp.Navigate(url))
}

// Type empties the field that a CSS selector finds, types into it and presses Enter.
func (p *Page) Type(t testing.TB, selector, text string) {
	t.Helper()
	Eval[bool](t, p, fmt.Sprintf(`document.querySelector(%q).value = "", true`, selector))
	p.do(t, "type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text+"\r"))
}

// Click clicks what a CSS selector finds.
func (p *Page) Click(t testing.TB, selector string) {
	t.Helper()
	p.do(t, "click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Eval evaluates JavaScript in the page, waits for it if it is a promise, and returns its value.
func Eval[T any](t testing.TB, p *Page, script string) T {
	t.Helper()
	v, err := eval[T](p, script)
	if err != nil {
		t.Fatalf("evaluate %.200s: %v", script, err)
	}
	return v
}

func eval[T any](p *Page, script string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, Limit)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// Wait polls until the script is the empty string. Otherwise it is what the page lacks.
func (p *Page) Wait(t testing.TB, what, script string) {
	t.Helper()
	parts.Poll(t, Limit, what, func() error {
		lacks, err := eval[string](p, script)
		if err == nil && lacks != "" {
			err = lacking(lacks)
		}
		return err
	})
}

type lacking string

func (l lacking) Error() string { return string(l) }

// Screenshot writes what the page looks like, from its top to its end, as NAME.png into the directory out of this module, which git ignores.
func (p *Page) Screenshot(t testing.TB, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Limit)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatalf("screenshot %s: %v", name, err)
	}
	file := filepath.Join(parts.Root(), "test", "out", name+".png")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Sideways returns by how many pixels the page is wider than its window.
func (p *Page) Sideways(t testing.TB) int {
	t.Helper()
	return Eval[int](t, p, `document.documentElement.scrollWidth - document.documentElement.clientWidth`)
}

// Axe returns what axe-core finds wrong with the page for people who use a screen reader or a keyboard, or see little. It
// leaves out the named rules.
func (p *Page) Axe(t testing.TB, except ...string) []string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(parts.Source(t, "axe-core"), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	Eval[bool](t, p, string(source)+"; true")
	return Eval[[]string](t, p, `axe.run(document, {resultTypes: ["violations"], preload: false}).then(r => r.violations.
		filter(v => !`+list(except)+`.includes(v.id)).map(v =>
		v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map(n => n.target.join(" ") + " " + n.html.slice(0, 200) + " " +
			(n.any[0] ? n.any[0].message : "")).join("; ")))`)
}

func (p *Page) do(t testing.TB, what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	// The first actions of a tab bind its life to their context, so they have no time limit.
	ctx := p.ctx
	if p.begun {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, Limit)
		defer cancel()
	}
	p.begun = true
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// call is an action that sends one command of the protocol.
func call[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, c, params)
		return chromedp.Void{}, err
	}
}

// list writes texts as a JavaScript array.
func list(texts []string) string {
	out, _ := json.Marshal(append([]string{}, texts...)) // no error is possible
	return string(out)
}
