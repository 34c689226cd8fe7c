package listener

import (
	"bufio"
	"net"
	"net/http"
	"sync/atomic"
)

// Conn is one connection. It has a slot in its listener until it is closed.
type Conn struct {
	net.Conn
	pool   *pool
	in     *bufio.Reader // holds what arrived together with the PROXY header; nil when empty
	client net.Addr      // the address in the PROXY header; nil: the peer is the client

	state atomic.Uint32

	// Guarded by pool.mu.
	home  *network // nil: none yet, or no longer any
	left  bool     // closed
	order uint64   // of arrival
}

func (c *Conn) now() state { return state(c.state.Load()) }

// before reports whether c is to be closed before o: it does less, or does the same and came earlier.
func (c *Conn) before(o *Conn) bool {
	if a, b := c.now(), o.now(); a != b {
		return a < b
	}
	return c.order < o.order
}

// RemoteAddr returns the client's address: the one in the PROXY header, or otherwise the peer's.
func (c *Conn) RemoteAddr() net.Addr {
	if c.client != nil {
		return c.client
	}
	return c.Conn.RemoteAddr()
}

// Read reads what the client sent after the PROXY header.
func (c *Conn) Read(p []byte) (int, error) {
	if c.in != nil {
		if c.in.Buffered() > 0 {
			return c.in.Read(p)
		}
		c.in = nil
	}
	return c.Conn.Read(p)
}

// Close closes the connection and frees its slot.
func (c *Conn) Close() error {
	c.pool.leave(c)
	return c.Conn.Close()
}

// CloseWrite says that nothing more will be sent. net/http then gives the client time to read its last answer, which a
// close with unread input would destroy.
func (c *Conn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// State is the [http.Server.ConnState] of the server that uses a [Listener]: idle connections are closed first.
func State(c net.Conn, s http.ConnState) {
	for {
		switch inner := c.(type) {
		case *Conn:
			switch s {
			case http.StateIdle:
				inner.state.Store(uint32(idle))
			case http.StateActive:
				inner.state.Store(uint32(busy))
			default: // new ones are waiting, closed ones leave in Close
			}
			return
		case interface{ NetConn() net.Conn }:
			c = inner.NetConn()
		default:
			return
		}
	}
}
