package listener

import (
	"container/heap"
	"net/netip"
	"sync"
)

// state is what a connection is doing, in the order in which connections are given up.
type state uint32

const (
	idle    state = iota // between two requests
	waiting              // has not sent its first request yet
	busy                 // a request is being answered
)

// sampled is how many connections of a network are looked at for the one to close: where one in a hundred is idle,
// it is missed once in thirty thousand times, and nobody pays for a list in order.
const sampled = 1024

// Unnamed is how many connections may be open, beside those of the pool, that have yet to say whose they are.
const Unnamed = 1024

// pool is a bound on connections that is shared evenly, however many networks want it: while there is room
// everybody has as much as they like, a whole fleet behind one address included. When it is full, the network with
// the most gives up one for each newcomer of a network with less, and for its own. Safe for concurrent use.
type pool struct {
	max     int
	observe func(Event)

	mu       sync.Mutex
	open     int
	order    uint64 // of arrival
	networks map[netip.Prefix]*network
	strange  greediest // networks of clients with connections
	fronts   network   // the load balancers': never closed for somebody else's sake
	unnamed  network   // their PROXY header is read: they are nobody's yet, and take nobody's place
}

// network is whose connections stand together.
type network struct {
	name  netip.Prefix
	conns map[*Conn]struct{}
	at    int  // in pool.strange
	apart bool // it is not there
	front bool
}

func newPool(most int, observe func(Event)) *pool {
	p := &pool{max: most, observe: observe, networks: map[netip.Prefix]*network{}}
	p.fronts = network{conns: map[*Conn]struct{}{}, apart: true, front: true}
	p.unnamed = network{conns: map[*Conn]struct{}{}, apart: true}
	return p
}

// enter counts c among the connections of a network, or among those of the load balancers. When the pool is full
// and nobody else has to give up one, it returns false. Another connection may have to go: enter closes it.
func (p *pool) enter(c *Conn, name netip.Prefix, front bool) bool {
	p.mu.Lock()
	if c.left { // closed while it was waited for
		p.mu.Unlock()
		return false
	}
	if c.home == &p.unnamed {
		p.take(c)
	}
	n := p.network(name, front)
	var gone *Conn
	if p.open >= p.max {
		if gone = p.victim(n); gone == nil {
			p.forget(n)
			p.mu.Unlock()
			p.observe(Refused)
			return false
		}
		p.drop(gone)
		n = p.network(name, front) // it may have been the last of n
	}
	p.order++
	c.order = p.order
	p.open++
	p.put(c, n)
	p.mu.Unlock()
	p.observe(Opened)
	if gone != nil {
		p.observe(Displaced)
		_ = gone.Conn.Close()
	}
	return true
}

// await keeps c until it is known whose it is. When too many wait, the one that waits longest is closed.
func (p *pool) await(c *Conn) {
	p.mu.Lock()
	var gone *Conn
	if len(p.unnamed.conns) >= Unnamed {
		gone = p.unnamed.pick(waiting)
		p.drop(gone)
	}
	p.order++
	c.order = p.order
	p.put(c, &p.unnamed)
	p.mu.Unlock()
	if gone != nil {
		p.observe(Refused)
		_ = gone.Conn.Close()
	}
}

// leave gives c's place free. Only the first call counts.
func (p *pool) leave(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(c)
}

// victim is the connection that goes so that one of n may come; nil: none must. p.mu is held.
func (p *pool) victim(n *network) *Conn {
	from, last := n, waiting // one's own busy connections are not closed for a new one
	if len(p.strange) > 0 {
		if top := p.strange[0]; n.front || len(top.conns) > len(n.conns) {
			from = top
			if n.front || len(top.conns) > len(n.conns)+1 { // else it would only change sides
				last = busy
			}
		}
	}
	return from.pick(last)
}

// pick is the connection to close among those that do no more than last; nil: there is none.
func (n *network) pick(last state) (found *Conn) {
	looked := 0
	for c := range n.conns {
		if c.now() <= last && (found == nil || c.before(found)) {
			found = c
		}
		if looked++; looked == sampled {
			break
		}
	}
	return found
}

func (p *pool) network(name netip.Prefix, front bool) *network {
	if front {
		return &p.fronts
	}
	n := p.networks[name]
	if n == nil {
		n = &network{name: name, conns: map[*Conn]struct{}{}, at: len(p.strange)}
		p.networks[name] = n
		heap.Push(&p.strange, n)
	}
	return n
}

func (p *pool) put(c *Conn, n *network) {
	c.home = n
	n.conns[c] = struct{}{}
	p.changed(n)
}

func (p *pool) take(c *Conn) {
	n := c.home
	c.home = nil
	delete(n.conns, c)
	p.changed(n)
	p.forget(n)
}

func (p *pool) drop(c *Conn) {
	c.left = true
	if c.home == nil {
		return
	}
	counted := c.home != &p.unnamed
	p.take(c)
	if counted {
		p.open--
		p.observe(Closed)
	}
}

func (p *pool) changed(n *network) {
	if !n.apart {
		heap.Fix(&p.strange, n.at)
	}
}

// forget drops a network without connections.
func (p *pool) forget(n *network) {
	if !n.apart && len(n.conns) == 0 {
		heap.Remove(&p.strange, n.at)
		delete(p.networks, n.name)
	}
}

// greediest is a heap of networks, the one with the most connections first.
type greediest []*network

func (g greediest) Len() int           { return len(g) }
func (g greediest) Less(i, j int) bool { return len(g[i].conns) > len(g[j].conns) }
func (g greediest) Swap(i, j int) {
	g[i], g[j] = g[j], g[i]
	g[i].at, g[j].at = i, j
}

func (g *greediest) Push(x any) {
	n := x.(*network)
	n.at = len(*g)
	*g = append(*g, n)
}

func (g *greediest) Pop() any {
	last := len(*g) - 1
	n := (*g)[last]
	(*g)[last] = nil
	*g = (*g)[:last]
	return n
}
