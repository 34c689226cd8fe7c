package demo

import (
	"errors"
	"net"
	"sync"
)

// outlet is a node's port. It can be made to fail: then it resets every connection, like a machine on which the
// service behind the port has stopped. The outlet keeps the port, so that the node can come back on it. It is safe
// for concurrent use.
type outlet struct {
	net.Listener

	mu   sync.Mutex
	down bool
	open map[*plug]struct{}
}

// plug is a connection that an outlet has handed out.
type plug struct {
	*net.TCPConn
	outlet *outlet
}

func newOutlet(ln net.Listener) *outlet { return &outlet{Listener: ln, open: map[*plug]struct{}{}} }

// Accept implements [net.Listener].
func (o *outlet) Accept() (net.Conn, error) {
	for {
		c, err := o.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := c.(*net.TCPConn)
		if !ok {
			return nil, errors.Join(errors.New("not a TCP port"), c.Close())
		}
		p := &plug{tcp, o}
		if o.add(p) {
			return p, nil
		}
		p.reset()
	}
}

func (o *outlet) add(p *plug) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.down {
		o.open[p] = struct{}{}
	}
	return !o.down
}

// fail resets all open and future connections.
func (o *outlet) fail() {
	o.mu.Lock()
	o.down = true
	open := o.open
	o.open = map[*plug]struct{}{}
	o.mu.Unlock()
	for p := range open {
		p.reset()
	}
}

// restore accepts connections again.
func (o *outlet) restore() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = false
}

// reset closes the connection so that the other side gets an error, not an EOF.
func (p *plug) reset() {
	_ = p.SetLinger(0) // an error only means that the connection is closed already
	_ = p.TCPConn.Close()
}

// Close implements [net.Conn].
func (p *plug) Close() error {
	p.outlet.mu.Lock()
	delete(p.outlet.open, p)
	p.outlet.mu.Unlock()
	return p.TCPConn.Close()
}
