package listener

import (
	"context"
	"time"

	"ociproxy/internal/wait"
)

// firstRequest is how long Finish waits for the first request of a new connection. A client sends that request together
// with the handshake, a few round trips after it connected.
const firstRequest = 3 * time.Second

// settleEvery is how often Finish looks whether all connections are idle.
const settleEvery = 10 * time.Millisecond

// Finish accepts no further connection, and serves those that it has accepted: Accept still returns them, and Finish
// waits until the server has answered their requests. It returns when every connection that is left is idle, or has
// been silent for some seconds, or when ctx is done.
//
// Call it before the server's Shutdown, while the server is serving. Shutdown alone loses requests: net/http closes a
// new connection without an answer when its first request arrives after Shutdown was called. A client may not repeat
// such a request, because it cannot know that the server ignored it.
//
// The kernel keeps the connections that were not accepted as long as any process has the socket. When no process has it
// any more, the kernel resets them.
func (l *Listener) Finish(ctx context.Context) {
	l.last.Store(true)
	_ = l.inner.Close() // it may be closed already
	handed := make(chan struct{})
	go func() { defer close(handed); l.done.Wait() }()
	select {
	case <-handed:
	case <-ctx.Done():
		return
	}
	_ = wait.Until(ctx, settleEvery, func() bool { return !l.pool.answering(time.Now().Add(-firstRequest)) })
}

// answering reports whether a connection has a request without an answer, or was accepted after since and may still
// send its first request.
func (p *pool) answering(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fronts.answering(since) {
		return true
	}
	for _, n := range p.networks {
		if n.answering(since) {
			return true
		}
	}
	return false
}

func (n *network) answering(since time.Time) bool {
	for c := range n.conns {
		if s := c.now(); s == busy || s == waiting && c.since.After(since) {
			return true
		}
	}
	return false
}
