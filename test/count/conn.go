package count

import (
	"context"
	"net"
	"sync"
	"syscall"

	"ociproxy/internal/accesslog/accesslogtest"
)

// conn counts what is written: heads and bodies of answers.
type conn struct {
	net.Conn
	store *Store

	mu         sync.Mutex
	matched    int // how much of headEnd the end of what was written matches; len(headEnd): in the body
	head, body int64
	pending    *accesslogtest.Request // being answered
	whole      int64                  // how long its body is
}

const headEnd = "\r\n\r\n"

// Write counts what the kernel took. A client that goes away may not have read all of it; a store counts it all the same.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range n {
		if c.matched == len(headEnd) {
			c.body += int64(n - i)
			break
		}
		c.head++
		switch {
		case p[i] == headEnd[c.matched]:
			c.matched++
		case p[i] == headEnd[0]:
			c.matched = 1
		default:
			c.matched = 0
		}
	}
	return n, err
}

// begin begins the answer to a request.
func (c *conn) begin(r *accesslogtest.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending, c.whole, c.matched, c.head, c.body = r, 0, 0, 0, 0
}

// expect says how long the body of the answer is.
func (c *conn) expect(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole = n
}

// end ends the answer that is under way, if one is.
func (c *conn) end() {
	c.mu.Lock()
	r := c.pending
	c.pending = nil
	if r != nil {
		r.Sent, r.Heading, r.Aborted = c.body, c.head, c.body < c.whole
	}
	c.mu.Unlock()
	if r != nil {
		c.store.add(r)
	}
}

// listener makes counting connections.
type listener struct {
	net.Listener
	store *Store
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, store: l.store}, nil
}

type connKey struct{}

// listen listens with small buffers, as on a long way: what a client that goes away has not read is little.
func listen(addr string) (net.Listener, error) {
	config := net.ListenConfig{Control: Narrow}
	return config.Listen(context.Background(), "tcp", addr)
}

// Narrow gives a socket small buffers. Use it as Control of the clients' dialers.
func Narrow(_, _ string, raw syscall.RawConn) (err error) {
	const buffer, segment = 32 << 10, 8 << 10
	if e := raw.Control(func(fd uintptr) {
		for _, option := range []struct{ level, name, value int }{
			{syscall.SOL_SOCKET, syscall.SO_SNDBUF, buffer}, {syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer},
			{syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, segment},
		} {
			if err == nil {
				err = syscall.SetsockoptInt(int(fd), option.level, option.name, option.value)
			}
		}
	}); e != nil {
		return e
	}
	return err
}
