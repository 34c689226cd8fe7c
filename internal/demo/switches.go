package demo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"ociproxy/internal/wait"
)

// switches stop and start stores while a demo serves: a person types the name of one.
type switches struct {
	demo  *demo
	out   *printer
	start time.Time // of the demo
	turns map[string]*turn
	watch sync.WaitGroup
}

// turn is what was last done with a store.
type turn struct {
	down bool
	at   time.Time
	end  context.CancelFunc // ends the wait for what the proxy makes of it
}

// noticePace is how often switches look whether the proxy has noticed.
const noticePace = 250 * time.Millisecond

// run reads names from in until its end or until ctx is done. When run returns, all that it started has ended, except a
// read of in that has not returned.
func (s *switches) run(ctx context.Context, in io.Reader) {
	defer s.watch.Wait()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for sc := bufio.NewScanner(in); sc.Scan(); {
			select {
			case lines <- strings.TrimSpace(sc.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case name, ok := <-lines:
			if !ok {
				return
			}
			s.typed(ctx, name)
		}
	}
}

// typed stops the named store, or starts it if it is stopped.
func (s *switches) typed(ctx context.Context, name string) {
	if !slices.Contains(Stores(), name) {
		said := ""
		if name != "" {
			said = fmt.Sprintf("there is no store %q: ", name)
		}
		s.out.hint(said + "type the name of a store to stop it or to start it again: " + strings.Join(Stores(), ", "))
		return
	}
	t := s.turns[name]
	if t == nil {
		t = &turn{}
		s.turns[name] = t
	} else {
		t.end()
	}
	t.down, t.at = !t.down, time.Now()
	ctx, t.end = context.WithCancel(ctx)
	if t.down {
		s.demo.world.node(name).listener.fail()
		s.say("store", "failed", name, name+" is stopped: it resets every connection")
	} else {
		s.demo.world.node(name).listener.restore()
		s.say("store", "restored", name, name+" is started")
	}
	usable, at := !t.down, t.at
	s.watch.Go(func() { s.notice(ctx, name, usable, at) })
}

// notice waits until the proxy uses the store, or no longer uses it, and says so.
func (s *switches) notice(ctx context.Context, name string, usable bool, since time.Time) {
	for {
		if now, ok := s.demo.usable(ctx, name); ok && now == usable {
			break
		}
		if wait.For(ctx, noticePace) != nil {
			return
		}
	}
	after := time.Since(since).Seconds()
	if usable {
		s.say("health", "readmitted", name, fmt.Sprintf("%s is in service, %.1f s after it was started", name, after))
	} else {
		s.say("health", "ejected", name, fmt.Sprintf("%s is out of service, %.1f s after it was stopped", name, after))
	}
}

func (s *switches) say(about, event, store, text string) {
	s.out.event(outageEvent{since(time.Since(s.start)), event, store}, about, text)
}
