package proxy

import (
	"context"
	"strings"
	"sync"
	"testing"
)

// supervisor is one that notes the calls that it gets.
type supervisor struct {
	mu   sync.Mutex
	said []string
}

func (r *supervisor) say(what, status string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, what+" "+status)
}

func (r *supervisor) Ready(status string)    { r.say("ready", status) }
func (r *supervisor) Reloading()             { r.say("reloading", "") }
func (r *supervisor) Reloaded(status string) { r.say("reloaded", status) }
func (r *supervisor) Stopping(status string) { r.say("stopping", status) }

func (r *supervisor) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.said, "\n")
}

// TestReadyIsToldWhenItIsReady: the server reports that it is ready only when it is. A service manager that restarts
// one instance after the other may rely on that. A server that drains before it was ready never reports it.
func TestReadyIsToldWhenItIsReady(t *testing.T) {
	for _, drains := range []bool{false, true} {
		w := newWorld(t, `place: aws/us-east-1, serves: [aws]`, `place: aws/us-east-1, inventory: {url: "VA/inventory/"}, serves: [aws]`)
		told := &supervisor{}
		w.server.opt.Supervisor = told
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.server.announce(ctx) }()
		if w.server.ready() || told.String() != "" {
			t.Errorf("before the inventory was read: %s", told)
		}
		if drains {
			w.server.draining.Store(true)
			stop()
		} else {
			w.server.loaded.Store(true)
		}
		<-done
		stop()
		if got := told.String(); strings.HasPrefix(got, "ready serving, config ") == drains {
			t.Errorf("drains: %t, told %q", drains, got)
		}
	}
}
