package demo

import (
	"context"
	"net/http"
	"strings"
	"sync"
)

// agent is the prefix of the demo clients' User-Agent, "demo-client/<name>".
// The header survives the redirect, so a store can identify the client.
const agent = "demo-client/"

// ledgerSize bounds the entries of a ledger, because a demo may run for days.
const ledgerSize = 4096

// entry is one finished request, as a registry or store saw it.
type entry struct {
	Node   string // the node that answered
	Client string // from User-Agent
	Method string
	Digest string // "" when the response was not content
	Status int
	Bytes  int64 // body bytes written
}

// ledger is the access log of one registry or store. It is safe for concurrent
// use. It keeps at most ledgerSize entries and drops the oldest.
type ledger struct {
	node   string
	notify func(entry) // called for each finished request; may be nil

	mu      sync.Mutex
	idle    *sync.Cond
	busy    int
	entries []entry
}

func newLedger(node string, notify func(entry)) *ledger {
	l := &ledger{node: node, notify: notify}
	l.idle = sync.NewCond(&l.mu)
	return l
}

// keeps is a handler that also returns the digest of the content it sent.
type keeps func(w http.ResponseWriter, r *http.Request) (digest string)

// wrap returns an http.Handler that calls h and writes every request into the
// ledger.
func (l *ledger) wrap(h keeps) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.busy++
		l.mu.Unlock()
		c := &counter{ResponseWriter: w, status: http.StatusOK}
		e := entry{Node: l.node, Client: r.UserAgent(), Method: r.Method}
		// Deferred, because the handler may panic when a client disconnects.
		defer func() {
			e.Status, e.Bytes = c.status, c.bytes
			if r.Method == http.MethodHead { // the server discards the body of an error
				e.Bytes = 0
			}
			l.add(e)
			if l.notify != nil {
				l.notify(e)
			}
		}()
		e.Digest = h(c, r)
	})
}

func (l *ledger) add(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == ledgerSize {
		l.entries = append(l.entries[:0], l.entries[ledgerSize/2:]...)
	}
	l.entries = append(l.entries, e)
	l.busy--
	l.idle.Broadcast()
}

// sent returns, for each content, the number of body bytes that the named demo
// client got by GET. Errors do not count as content. It waits for requests
// under way, until ctx is done, because a client has read its last byte before
// the server has written its ledger entry.
func (l *ledger) sent(ctx context.Context, client string) map[string]int64 {
	defer context.AfterFunc(ctx, func() {
		l.mu.Lock() // otherwise the broadcast could come between the check and the Wait
		defer l.mu.Unlock()
		l.idle.Broadcast()
	})()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.busy > 0 && ctx.Err() == nil {
		l.idle.Wait()
	}
	sum := make(map[string]int64)
	for _, e := range l.entries {
		if name, ok := strings.CutPrefix(e.Client, agent); ok && name == client && e.Method == http.MethodGet && e.Digest != "" {
			sum[e.Digest] += e.Bytes
		}
	}
	return sum
}

// counter counts the body bytes of a response.
type counter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}
