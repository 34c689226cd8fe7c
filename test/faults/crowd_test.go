package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/test/containerd"
)

// In each place a new machine starts a pull at this pace, whether or not earlier pulls have succeeded. atOnce limits
// the pulls at the same time, not counting those that wait for their next try. More pulls would only wait for this
// machine's processors.
const (
	pace    = 250 * time.Millisecond
	atOnce  = 5
	ctrPace = time.Second
)

// crowd pulls all the time, the mirrored image and the rare one in turn.
type crowd struct {
	stop context.CancelFunc
	wg   sync.WaitGroup
	next atomic.Int32 // the next machine's number

	mu    sync.Mutex
	pulls []*pull
}

// gather starts a crowd. set may change its nodes.
func (w *world) gather(t *testing.T, set func(*node)) *crowd {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{stop: cancel}
	for _, p := range places {
		room := make(chan struct{}, atOnce)
		c.wg.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				repository := w.app()
				if i%2 == 1 {
					repository = w.rare()
				}
				select {
				case room <- struct{}{}:
					c.wg.Go(func() {
						n := newNode(w.front, w.opt.dial, w.trust()) // a machine that has no connections yet
						defer n.http.CloseIdleConnections()
						if set != nil {
							set(n)
						}
						c.add(n.pull(p.machine(int(c.next.Add(1))), repository, "v1", room))
					})
				case <-ctx.Done():
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	t.Cleanup(func() { c.stop(); c.wg.Wait() })
	return c
}

// runtime adds a containerd to the crowd. It pulls, removes the image, and pulls again.
func (c *crowd) runtime(t *testing.T, d *containerd.Daemon, ref string) {
	ctx, cancel := context.WithCancel(context.Background())
	stop := c.stop
	c.stop = func() { stop(); cancel() }
	c.wg.Go(func() {
		tick := time.NewTicker(ctrPace)
		defer tick.Stop()
		for ctx.Err() == nil {
			p := &pull{what: ref, client: "containerd", began: time.Now()}
			room := make(chan struct{}, 1)
			room <- struct{}{}
			p.try(room, func() error {
				err := d.TryPull(t, ref, "linux/amd64")
				if err != nil {
					text := err.Error() // the rest is progress bars
					err = errors.New(text[strings.LastIndexByte(strings.TrimSpace(text), '\n')+1:])
				}
				return err
			})
			c.add(p)
			if p.done {
				d.Remove(t, ref)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
}

func (c *crowd) add(p *pull) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulls = append(c.pulls, p)
}

// count returns how many pulls have ended.
func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pulls)
}

// since returns how many pulls have ended that began after moment.
func (c *crowd) since(moment time.Time) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pulls {
		if p.began.After(moment) {
			n++
		}
	}
	return n
}

// leave stops the crowd, waits until the last pull has ended, and returns all pulls.
func (c *crowd) leave() []*pull {
	c.stop()
	c.wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pulls
}

// tally sums up the pulls of one fault.
type tally struct {
	fault                string
	pulls, first, second int // all; those whose first try failed; those whose second try failed too
	failed               []*pull
	span                 time.Duration // from the fault to the last failure of a first try
	before               []*pull       // those that failed a try before the fault struck
	slowest              time.Duration
}

// sum counts the pulls of a fault. struck is when the fault struck.
func sum(fault string, pulls []*pull, struck time.Time) tally {
	out := tally{fault: fault}
	for _, p := range pulls {
		out.pulls++
		out.slowest = max(out.slowest, p.ended.Sub(p.began))
		if len(p.failed) == 0 {
			continue
		}
		if p.failed[0].at.Before(struck) {
			out.before = append(out.before, p)
			continue
		}
		out.first++
		out.span = max(out.span, p.failed[0].at.Sub(struck))
		if len(p.failed) > 1 {
			out.second++
		}
		if !p.done {
			out.failed = append(out.failed, p)
		}
	}
	return out
}

func (s tally) String() string {
	text := fmt.Sprintf("%-34s pulls %4d, first tries failed %3d", s.fault, s.pulls, s.first)
	if s.first > 0 {
		text += fmt.Sprintf(" (the last %.1f s after the fault), second tries %d", s.span.Seconds(), s.second)
	}
	return text + fmt.Sprintf(", failed %d; slowest %.1f s", len(s.failed), s.slowest.Seconds())
}
