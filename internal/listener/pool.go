package listener

import (
	"container/heap"
	"net/netip"
	"sync"
)

// state is what a connection is doing. The states are in the order in which connections are closed for others.
type state uint32

const (
	idle    state = iota // between two requests
	waiting              // has not sent its first request yet
	busy                 // a request is being answered
)

// sampled is how many connections of a network are examined to find the one to close. If one in a hundred is idle, the
// sample misses it once in thirty thousand times, and no ordered list is needed.
const sampled = 1024

// Unnamed is how many connections whose client is not known yet may be open, in addition to those of the pool.
const Unnamed = 1024

// pool is a limit on connections that all networks share evenly. While there is room, each network may have as many
// connections as it likes, even a complete fleet behind one address. When the pool is full, the network with the most
// connections gives up one for each newcomer of a network with fewer, and for its own newcomers. It is safe for
// concurrent use.
type pool struct {
	max     int
	observe func(Event)

	mu       sync.Mutex
	open     int
	order    uint64 // of arrival
	networks map[netip.Prefix]*network
	strange  greediest // networks of clients that have connections
	fronts   network   // of the load balancers; its connections are never closed for others
	unnamed  network   // their PROXY header is being read; they have no network and use no slot
}

// network has the connections that count together.
type network struct {
	name  netip.Prefix
	conns map[*Conn]struct{}
	at    int  // index in pool.strange
	apart bool // not in pool.strange
	front bool
}

func newPool(most int, observe func(Event)) *pool {
	p := &pool{max: most, observe: observe, networks: map[netip.Prefix]*network{}}
	p.fronts = network{conns: map[*Conn]struct{}{}, apart: true, front: true}
	p.unnamed = network{conns: map[*Conn]struct{}{}, apart: true}
	return p
}

// enter counts c among the connections of a network, or among those of the load balancers. It returns false when the
// pool is full and no other connection may be closed. Otherwise, enter closes that connection if necessary.
func (p *pool) enter(c *Conn, name netip.Prefix, front bool) bool {
	p.mu.Lock()
	if c.left { // closed while its PROXY header was being read
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
		n = p.network(name, front) // the closed connection may have been the last one of n
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

// await keeps c until its client is known. When too many connections wait, it closes the one that has waited longest.
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

// leave frees c's slot. Only the first call counts.
func (p *pool) leave(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(c)
}

// victim returns the connection to close for a new one of n, or nil when none may be closed. p.mu is held.
func (p *pool) victim(n *network) *Conn {
	from, last := n, waiting // a network's own busy connections are not closed for a new one
	if len(p.strange) > 0 {
		if top := p.strange[0]; n.front || len(top.conns) > len(n.conns) {
			from = top
			if n.front || len(top.conns) > len(n.conns)+1 { // otherwise the surplus would only change sides
				last = busy
			}
		}
	}
	return from.pick(last)
}

// pick returns the connection to close among those that do no more than last, or nil when there is none.
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

// greediest is a heap of networks. The network with the most connections comes first.
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
