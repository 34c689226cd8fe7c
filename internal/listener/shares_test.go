package listener

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"ociproxy/internal/clientip"
)

// TestOneNetworkLocksNobodyOut guards against an old fault: the idle connections of one address locked out all other
// clients. Whatever the connections of one network do when all slots are taken, another network is served. The same
// network is served too, unless all of its connections are busy.
func TestOneNetworkLocksNobodyOut(t *testing.T) {
	const most, greedy, other = 6, "127.0.1.1", "127.0.2.2"
	does := map[string]struct {
		do    func(t *testing.T, s *site, c *client)
		idles int
		same  bool // whether another connection of the same network is served
	}{
		"idle": {func(t *testing.T, _ *site, c *client) {
			if !served(c.get("/")) {
				t.Fatal("not served while there is room")
			}
		}, most, true},
		"silent":        {func(*testing.T, *site, *client) {}, 0, true},
		"half a header": {func(_ *testing.T, _ *site, c *client) { fmt.Fprint(c, "GET / HTTP/1.1\r\nX:") }, 0, true},
		"busy": {func(_ *testing.T, s *site, c *client) {
			fmt.Fprint(c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
			<-s.held
		}, 0, false},
	}
	for what, test := range does {
		t.Run(what, func(t *testing.T) {
			s := open(t, Options{Max: most})
			for range most {
				test.do(t, s, s.dial(t, greedy))
			}
			s.settled(t, most, test.idles)
			if got := served(s.dial(t, greedy).get("/")); got != test.same {
				t.Errorf("the same network: served %t, want %t", got, test.same)
			}
			newcomer := s.dial(t, other)
			for range 2 { // nor is it the next victim
				if !served(newcomer.get("/")) {
					t.Error("another network is not served")
				}
			}
			if open := s.counts[Opened].Load() - s.counts[Closed].Load(); open > most {
				t.Errorf("%d are open", open)
			}
		})
	}
}

// TestFleetBehindOneAddress: a network may have all connections, and against newcomers it keeps half of them.
func TestFleetBehindOneAddress(t *testing.T) {
	s := open(t, Options{Max: 8})
	var fleet []*client
	for range 8 {
		c := s.dial(t, "127.0.1.1")
		if !served(c.get("/")) {
			t.Fatal("not served while there is room")
		}
		fleet = append(fleet, c)
	}
	s.settled(t, 8, 8)
	for range 20 { // newcomers of one network get at most half of the slots
		s.dial(t, "127.0.2.2").get("/")
	}
	s.until(t, "newcomers idle", func() bool { return s.counts[Displaced].Load() >= 16 })
	left := 0
	for _, c := range fleet {
		if served(c.get("/")) {
			left++
		}
	}
	if left < 4 {
		t.Errorf("%d of the fleet's connections are left, want half of all", left)
	}
}

// TestFrontsHaveNoShare: a load balancer's connections belong to all its clients. They are never closed for another
// client, but other clients' connections are closed for them.
func TestFrontsHaveNoShare(t *testing.T) {
	const front, other = "127.0.9.9", "127.0.2.2"
	isFront := func(a netip.Addr) bool { return a.String() == front }
	s := open(t, Options{Max: 4, Front: isFront})
	var all []*client
	for range 4 {
		c := s.dial(t, front)
		c.get("/")
		all = append(all, c)
	}
	s.settled(t, 4, 4)
	if s.dial(t, other).get("/") != "" {
		t.Error("a client is served in place of a front")
	}
	for _, c := range all {
		if !served(c.get("/")) {
			t.Error("a front's connection was closed for a client")
		}
	}
	if !served(s.dial(t, front).get("/")) {
		t.Error("the front does not get another connection for an idle one of its own")
	}

	s = open(t, Options{Max: 2, Front: isFront})
	for range 2 {
		fmt.Fprint(s.dial(t, other), "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
		<-s.held
	}
	if !served(s.dial(t, front).get("/")) {
		t.Error("clients lock a front out")
	}
}

// TestClientsBehindAProxyHeader: with the PROXY protocol, all connections come from one peer, and each one belongs to
// the network of the client that its header names. Connections without a named client lock out no other client either.
func TestClientsBehindAProxyHeader(t *testing.T) {
	announced := func(greedy func(s *site) *client, open5 func(s *site) bool) {
		s := open(t, Options{Max: 5, Announces: func(netip.Addr) bool { return true }, Header: clientip.ReadProxyHeader})
		for range 5 {
			greedy(s)
		}
		s.until(t, "all open", func() bool { return open5(s) })
		c := s.dial(t, "127.0.9.9")
		fmt.Fprint(c, "PROXY TCP4 203.0.113.7 192.0.2.80 40000 443\r\n")
		if got := c.get("/"); got != "203.0.113.7:40000" {
			t.Errorf("another client gets %q", got)
		}
	}
	announced(func(s *site) *client {
		c := s.dial(t, "127.0.9.9")
		fmt.Fprint(c, "PROXY TCP4 198.51.100.7 192.0.2.80 40000 443\r\n")
		c.get("/")
		return c
	}, func(s *site) bool { return s.counts[Opened].Load() == 5 })
	announced(func(s *site) *client { return s.dial(t, "127.0.9.9") }, func(s *site) bool {
		s.pool.mu.Lock()
		defer s.pool.mu.Unlock()
		return len(s.pool.unnamed.conns) == 5
	})
}

// New connections of a network do not close its own requests, with or without a PROXY header.
func TestNewcomersBehindAProxyHeader(t *testing.T) {
	s := open(t, Options{Max: 4, Announces: func(netip.Addr) bool { return true }, Header: clientip.ReadProxyHeader})
	begin := func() *client {
		c := s.dial(t, "127.0.9.9")
		fmt.Fprint(c, "PROXY TCP4 198.51.100.7 192.0.2.80 40000 443\r\nGET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
		return c
	}
	for range 4 {
		begin()
		<-s.held
	}
	for range 3 {
		begin()
	}
	s.until(t, "all refused", func() bool { return s.counts[Refused].Load() == 3 })
	if n := s.counts[Displaced].Load(); n != 0 {
		t.Errorf("%d requests were closed", n)
	}
}

// TestPool checks the promises of the pool while connections come and go at random.
func TestPool(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 7))
		most := 1 + random.IntN(40)
		p := newPool(most, func(Event) {})
		var live []*Conn
		count := func(n netip.Prefix) (mine, top int) {
			per := map[netip.Prefix]int{}
			for _, c := range live {
				per[c.home.name]++
			}
			for _, k := range per {
				top = max(top, k)
			}
			return per[n], top
		}
		for range 400 {
			switch random.IntN(4) {
			case 0:
				if len(live) > 0 {
					p.leave(live[random.IntN(len(live))])
				}
			case 1:
				if len(live) > 0 {
					live[random.IntN(len(live))].state.Store(uint32(random.IntN(int(busy) + 1)))
				}
			default:
				name := netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", random.IntN(1+int(seed%9))))
				mine, top := count(name)
				full := len(live) == most
				c := &Conn{Conn: closable{}, pool: p}
				c.state.Store(uint32(random.IntN(int(busy) + 1)))
				got := p.enter(c, name, false)
				if (!full || mine+1 < top) && !got {
					t.Fatalf("seed %d: refused with %d of %d open, %d its own, the greediest has %d", seed, len(live), most, mine, top)
				}
				if got {
					live = append(live, c)
				}
			}
			kept := live[:0]
			for _, c := range live {
				if c.home != nil {
					kept = append(kept, c)
				}
			}
			live = kept
			if len(live) != p.open || p.open > most {
				t.Fatalf("seed %d: %d live, %d counted, %d at most", seed, len(live), p.open, most)
			}
			for i, n := range p.strange {
				if n.at != i || len(n.conns) == 0 || i > 0 && p.strange.Less(i, (i-1)/2) {
					t.Fatalf("seed %d: the heap of networks is out of order at %d", seed, i)
				}
			}
		}
	}
}

type closable struct{ net.Conn }

func (closable) Close() error { return nil }

func TestBound(t *testing.T) {
	for _, test := range []struct{ wanted, descriptors, kept, want int }{
		{20_000, 1_048_576, 600, 20_000}, {20_000, 20_000, 600, 19_400}, {20_000, 1024, 600, 512}, {100, 1024, 600, 100},
		{0, 4096, 596, 3500}, {20_000, 0, 600, 20_000}, {0, 0, 600, 0}, {5, 1, 600, 1},
	} {
		if got := Bound(test.wanted, test.descriptors, test.kept); got != test.want {
			t.Errorf("Bound(%d, %d, %d) = %d, want %d", test.wanted, test.descriptors, test.kept, got, test.want)
		}
	}
	if RaiseDescriptors() < 64 {
		t.Error("the limit of open files cannot be read")
	}
}
