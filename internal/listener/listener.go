package listener

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// headerTimeout is how long a peer may take to send its PROXY header. A front sends it in the first packet. The time is
// enough to send one or two lost packets again.
const headerTimeout = 5 * time.Second

// headerBuffer is the size of the buffer for what is read together with a PROXY header. It holds at least a complete
// line of version 1.
const headerBuffer = 512

// Event is what happened to a connection.
type Event uint8

// Every connection is Opened and later Closed, or it is Refused. A connection that was closed for a newcomer is
// Displaced as well.
const (
	Opened Event = iota
	Closed
	Displaced
	Refused
)

// Options configure a [Listener]. Network and Logger are required.
type Options struct {
	// Max is how many connections may be open at once. 0 means no limit.
	Max int
	// Network returns the network of an address. The connections of one network count together.
	Network func(netip.Addr) netip.Prefix
	// Front reports whether a peer is a load balancer, whose connections carry the requests of many clients. Such
	// connections have no share; only the total limit applies to them. Nil means that no peer is one.
	Front func(netip.Addr) bool
	// Announces reports whether a peer begins each connection with a PROXY header. Nil means that no peer does.
	Announces func(netip.Addr) bool
	// Header reads a PROXY header. A nil address means that the connection is the peer's own, for its health check.
	Header func(*bufio.Reader) (net.Addr, error)
	// TLS, when set, makes each connection begin with a TLS handshake, after a PROXY header.
	TLS *tls.Config
	// Handshake is how long the TLS handshake may take.
	Handshake time.Duration
	// Observe is called for each event, from several goroutines at once, and must not block. Nil means no calls.
	Observe func(Event)
	// Logger gets the messages about accepting connections.
	Logger *slog.Logger
}

// Single is a Network function that counts each address separately, so that an operator's probe does not share a limit
// with its neighbours.
func Single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// Listener hands out connections that have a slot, a known client and, if configured, TLS. Use [State] as the server's
// ConnState. It is safe for concurrent use.
type Listener struct {
	inner net.Listener
	opt   Options
	pool  *pool
	full  rate.Sometimes
	stuck rate.Sometimes

	ready chan net.Conn
	ended chan error  // the error that Accept returns, when it is known
	last  atomic.Bool // no further connection is accepted
	ctx   context.Context
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// New listens on inner. Close must be called; it closes inner.
func New(inner net.Listener, opt Options) *Listener {
	if opt.Max <= 0 {
		opt.Max = math.MaxInt
	}
	if opt.Observe == nil {
		opt.Observe = func(Event) {}
	}
	nobody := func(netip.Addr) bool { return false }
	if opt.Front == nil {
		opt.Front = nobody
	}
	if opt.Announces == nil {
		opt.Announces = nobody
	}
	l := &Listener{
		inner: inner, opt: opt, pool: newPool(opt.Max, opt.Observe),
		full: rate.Sometimes{Interval: time.Minute}, stuck: rate.Sometimes{Interval: time.Minute},
		ready: make(chan net.Conn), ended: make(chan error, 1),
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.done.Go(l.accept)
	return l
}

// Accept returns the next connection that is ready to be served. Its RemoteAddr is the client's.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case err := <-l.ended:
		l.ended <- err
		return nil, err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Addr returns the address that the listener listens on.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close ends Accept and closes the connections that it has not returned.
func (l *Listener) Close() error {
	l.stop()
	err := l.inner.Close()
	l.done.Wait()
	if l.last.Load() {
		return nil // Finish has closed inner
	}
	return err
}

func (l *Listener) accept() {
	var pause time.Duration
	for {
		raw, err := l.inner.Accept()
		switch {
		case err == nil:
			pause = 0
			l.take(raw)
		case l.last.Load():
			return
		case l.ctx.Err() != nil || !temporary(err):
			l.ended <- err
			return
		default: // for example, no file descriptor is left: other connections close theirs meanwhile
			l.stuck.Do(func() { l.opt.Logger.Error("accepting connections", "error", err.Error()) })
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			l.rest(pause)
		}
	}
}

// temporary reports what net/http itself takes for temporary. The method is deprecated without a successor.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

func (l *Listener) rest(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.ctx.Done():
	}
}

// take gives a new connection its slot. The remaining steps of the connection must not delay the next one.
func (l *Listener) take(raw net.Conn) {
	c := &Conn{Conn: raw, pool: l.pool, since: time.Now()}
	c.state.Store(uint32(waiting))
	peer := addrOf(raw.RemoteAddr())
	announces := l.opt.Announces(peer)
	if announces {
		l.pool.await(c)
	} else if !l.enter(c, peer, l.opt.Front(peer)) {
		_ = raw.Close()
		return
	}
	if !announces && l.opt.TLS == nil {
		l.hand(strict(c))
		return
	}
	l.done.Go(func() {
		ready, err := l.prepare(c, peer, announces)
		if err != nil {
			// The error contains the client's words. They are quoted, and decide nothing.
			l.opt.Logger.Debug("connection not opened", "client", c.RemoteAddr().String(), "error", err.Error())
			_ = c.Close()
			return
		}
		l.hand(ready)
	})
}

// enter gives c its slot, or returns false when there is none.
func (l *Listener) enter(c *Conn, client netip.Addr, front bool) bool {
	name := l.opt.Network(client)
	if l.pool.enter(c, name, front) {
		return true
	}
	l.full.Do(func() {
		l.opt.Logger.Warn("connections are refused: as many as may be open are busy, or this network has the most",
			"network", name.String(), "most", l.opt.Max)
	})
	return false
}

var errFull = errors.New("no room for another connection of this network")

func (l *Listener) hand(c net.Conn) {
	select {
	case l.ready <- c:
	case <-l.ctx.Done():
		_ = c.Close()
	}
}

// prepare reads the PROXY header and makes the TLS handshake.
func (l *Listener) prepare(c *Conn, peer netip.Addr, announces bool) (net.Conn, error) {
	if announces {
		if err := l.header(c); err != nil {
			return nil, err
		}
		client, front := addrOf(c.client), false
		if c.client == nil {
			client, front = peer, true // the front's own connection, for its health check
		}
		if !l.enter(c, client, front) {
			return nil, errFull
		}
	}
	if l.opt.TLS == nil {
		return strict(c), nil
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.opt.Handshake)
	defer cancel()
	t := tls.Server(c, l.opt.TLS)
	if err := t.HandshakeContext(ctx); err != nil {
		answerPlain(err)
		return nil, err
	}
	if t.ConnectionState().NegotiatedProtocol == "h2" {
		return t, nil // net/http speaks HTTP/2 only over a connection of this type
	}
	return strict(t), nil
}

func (l *Listener) header(c *Conn) error {
	if err := c.SetReadDeadline(time.Now().Add(headerTimeout)); err != nil {
		return err
	}
	defer context.AfterFunc(l.ctx, func() { _ = c.Conn.Close() })()
	in := bufio.NewReaderSize(c.Conn, headerBuffer)
	client, err := l.opt.Header(in)
	if err != nil {
		return err
	}
	c.in, c.client = in, client
	return c.SetReadDeadline(time.Time{})
}

// answerPlain sends an error to a client that speaks HTTP on a TLS port, as net/http does.
func answerPlain(err error) {
	var head tls.RecordHeaderError
	if !errors.As(err, &head) || head.Conn == nil {
		return
	}
	switch string(head.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		const text = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
		_, _ = head.Conn.Write([]byte(text))
	}
}

// addrOf returns the IP address of a, or the zero Addr when it has none.
func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
