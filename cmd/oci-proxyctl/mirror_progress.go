package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"ociproxy/internal/cli"
	"ociproxy/internal/mirror"
	"ociproxy/internal/wait"
)

// progressForms are the forms of --progress.
var progressForms = []string{"auto", "bars", "plain", "none"}

const (
	barsEvery  = 200 * time.Millisecond
	plainEvery = 5 * time.Second
)

// watchPass shows a pass's progress on stderr until stop is called: bars on a terminal, else a line every few
// seconds.
func (a *app) watchPass(form string, p *mirror.Pass) (stop func()) {
	if form == "auto" {
		form = "plain"
		if cli.IsTerminal(a.stderr) && a.env("TERM") != "dumb" {
			form = "bars"
		}
	}
	var show func(mirror.Progress)
	end := func() {}
	period := plainEvery
	switch form {
	case "none":
		return end
	case "bars":
		b := newBars(a.stderr, p.Progress())
		show, end, period = b.show, b.end, barsEvery
	default:
		m := new(meter)
		show = func(p mirror.Progress) { fmt.Fprintln(a.stderr, progressLine(p, m)) }
	}
	quit := every(period, func() { show(p.Progress()) })
	return func() {
		quit()
		end()
	}
}

// every calls show once per period until stop is called. If show was called at all, stop calls it once more, so that
// the last output matches the final state.
func every(period time.Duration, show func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	shown := false
	wg.Go(func() {
		for range wait.Every(ctx, period) {
			shown = true
			show()
		}
	})
	return sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if shown {
			show()
		}
	})
}

// meter measures the transfer speed, smoothed over some ten measurements.
type meter struct {
	at    time.Duration
	done  int64
	speed float64 // bytes per second
}

func (m *meter) look(at time.Duration, done int64) {
	seconds := (at - m.at).Seconds()
	if seconds <= 0 {
		return
	}
	now := float64(max(0, done-m.done)) / seconds
	if m.at == 0 {
		m.speed = now
	}
	m.speed += (now - m.speed) / 10
	m.at, m.done = at, done
}

// left returns how long the rest takes at this speed, or "" when that is unknown.
func (m *meter) left(bytes int64) string {
	if m.speed < 1 || bytes <= 0 {
		return ""
	}
	return (time.Duration(float64(bytes)/m.speed) * time.Second).Round(time.Second).String()
}

// progressLine returns one line of --progress plain.
func progressLine(p mirror.Progress, m *meter) string {
	done, of := p.Bytes()
	m.look(p.Elapsed, done)
	line := fmt.Sprintf("%s: %s, %s of %s blobs, %s of %s, %s/s", p.Elapsed.Round(time.Second),
		cli.Count(p.Images, "image"), humanize.Comma(p.Blobs), totalOf(p, humanize.Comma(p.OfBlobs)), size(done), totalOf(p, size(of)), size(int64(m.speed)))
	if eta := m.left(of - done); eta != "" && p.Walked {
		line += ", " + eta + " left"
	}
	for _, s := range p.Stores {
		switch {
		case s.Fault:
			line += "; " + s.Name + " at fault"
		case s.Waiting > 0:
			line += fmt.Sprintf("; %s has %d to go", s.Name, s.Waiting)
		}
	}
	if p.Problems > 0 {
		line += "; " + cli.Count(p.Problems, "problem")
	}
	return line
}

// totalOf adds a mark to a total that still grows.
func totalOf(p mirror.Progress, total string) string {
	if p.Walked {
		return total
	}
	return total + "+"
}

// bars shows --progress bars: one for the total, and one for each of the first stores.
type bars struct {
	progress *mpb.Progress
	all      []*mpb.Bar // the total, then the stores

	mu  sync.Mutex
	now mirror.Progress
	m   meter
}

// maxBars fits a terminal. Further stores appear only in the total.
const maxBars = 20

func newBars(w io.Writer, first mirror.Progress) *bars {
	b := &bars{progress: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithRefreshRate(barsEvery), mpb.WithAutoRefresh()), now: first}
	b.add("total", b.total)
	for i := range first.Stores[:min(len(first.Stores), maxBars)] {
		b.add(first.Stores[i].Name, func() string { return b.store(i) })
	}
	return b
}

func (b *bars) add(name string, text func() string) {
	bar := b.progress.New(0, mpb.BarStyle(),
		mpb.PrependDecorators(decor.Name(name, decor.WCSyncWidthR)),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + text() })))
	b.all = append(b.all, bar)
}

// show updates the bars. It is called repeatedly.
func (b *bars) show(p mirror.Progress) {
	b.mu.Lock()
	b.now = p
	done, of := p.Bytes()
	b.m.look(p.Elapsed, done)
	b.mu.Unlock()
	// The bar never reaches its total, because a full bar counts as done.
	set := func(bar *mpb.Bar, done, of int64) {
		bar.SetTotal(of+1, false)
		bar.SetCurrent(done)
	}
	set(b.all[0], done, of)
	for i, bar := range b.all[1:] {
		set(bar, p.Stores[i].Bytes, p.Stores[i].Of)
	}
}

func (b *bars) total() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	done, of := b.now.Bytes()
	text := fmt.Sprintf("%s, %s of %s, %s/s", cli.Count(b.now.Images, "image"), size(done), totalOf(b.now, size(of)), size(int64(b.m.speed)))
	if eta := b.m.left(of - done); eta != "" && b.now.Walked {
		text += ", " + eta
	}
	if b.now.Problems > 0 {
		text += ", " + cli.Count(b.now.Problems, "problem")
	}
	return text
}

func (b *bars) store(i int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch s := b.now.Stores[i]; {
	case s.Fault:
		return "at fault"
	case s.Waiting > 0:
		return fmt.Sprintf("%s, %s behind", size(s.Bytes), cli.Count(int64(s.Waiting), "blob"))
	default:
		return size(s.Bytes)
	}
}

func (b *bars) end() {
	for _, bar := range b.all {
		bar.Abort(false)
	}
	b.progress.Wait()
}
