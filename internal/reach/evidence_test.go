package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// complain makes an address ask again for a blob of a candidate.
func complain(t *testing.T, table *Table, e *Evidence, addr netip.Addr) {
	t.Helper()
	r := &Request{Addr: addr, Digest: testBlob(t, 1), Repository: "a", Origin: near}
	table.Ask(r)
	table.Ask(r)
	e.Note(table, r, Complained) // as if no other address of its /64 had complained before
}

func TestEvidence(t *testing.T) {
	for name, tt := range map[string]struct {
		addrs []string
		found bool
	}{
		"five of three networks":    {[]string{"10.1.0.1", "10.1.9.2", "10.2.0.1", "10.3.0.1", "10.3.0.2"}, true},
		"five of two networks":      {[]string{"10.1.0.1", "10.1.9.2", "10.2.0.1", "10.2.0.2", "10.2.0.3"}, false},
		"four of four networks":     {[]string{"10.1.0.1", "10.2.0.1", "10.3.0.1", "10.4.0.1"}, false},
		"five /64 of one provider":  {[]string{"2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1", "2001:db8:4::1", "2001:db8:5::1"}, false},
		"six in three /64":          {[]string{"2001:db8:1::1", "2001:db8:1::2", "2001:db9:1::1", "2001:db9:1::2", "2001:dba:1::1", "2001:dba:1::2"}, false},
		"mapped, of one network":    {[]string{"::ffff:10.1.0.1", "::ffff:10.1.9.2", "::ffff:10.1.0.3", "::ffff:10.1.0.4", "::ffff:10.1.0.5"}, false},
		"mapped, of three":          {[]string{"::ffff:10.1.0.1", "10.1.9.2", "::ffff:10.2.0.1", "10.3.0.1", "::ffff:10.3.0.2"}, true},
		"written in two ways":       {[]string{"::ffff:10.1.0.1", "10.1.0.1", "::ffff:10.2.0.1", "10.2.0.1", "10.3.0.1"}, false},
		"five /64 of three of them": {[]string{"2001:db8:1::1", "2001:db8:2::1", "2001:db9:3::1", "2001:dba:4::1", "2001:dba:5::1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			table, c := testTable()
			e := NewEvidence()
			for _, a := range tt.addrs {
				complain(t, table, e, netip.MustParseAddr(a))
			}
			got := e.Findings(table)
			if (len(got) == 1) != tt.found {
				t.Fatalf("%+v", got)
			}
			if tt.found && (len(got[0].Addresses) != len(tt.addrs) || len(got[0].Digests) != 1 || got[0].Origin != near) {
				t.Errorf("%+v", got[0])
			}
			c.pass(21 * time.Minute)
			if got := e.Findings(table); len(got) != 0 {
				t.Errorf("later: %+v", got)
			}
		})
	}
}

// Machines behind one address repeat requests too. When they are recognized as several machines, their complaint is
// void.
func TestAFleetWithdrawsItsComplaint(t *testing.T) {
	table, _ := testTable()
	e := NewEvidence()
	for a := range 9 {
		addr := netip.AddrFrom4([4]byte{10, byte(a), 0, 1})
		for range 6 {
			for n := range 9 {
				r := &Request{Addr: addr, Digest: testBlob(t, n), Repository: "a", Origin: near}
				e.Note(table, r, table.Ask(r).Event)
			}
		}
	}
	if got := e.Findings(table); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// A blocked network of machines behind one address is found within ten minutes, from its own requests alone.
func TestABlockedNetworkIsFound(t *testing.T) {
	table, c := testTable()
	e := NewEvidence()
	const machines = 20
	done := map[string]int{} // number of an image's blobs that a machine has
	for second := range 600 {
		for m := range machines {
			if second%(10+m%7) != 0 { // kubelets back off
				continue
			}
			image := second / 200
			key := fmt.Sprint(m, "/", image)
			for n := done[key]; n < min(done[key]+3, 9); n++ {
				r := &Request{Addr: client4, Digest: testBlob(t, image*100+n), Repository: fmt.Sprint("app", image), Origin: near}
				a := table.Ask(r)
				e.Note(table, r, a.Event)
				if a.Level == Nearest {
					break
				}
				done[key]++
			}
		}
		c.pass(time.Second)
	}
	if got := e.Findings(table); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// One network cannot push out the complaints of others, however much it complains.
func TestANetworkPushesOutNobodyElse(t *testing.T) {
	table, c := testTable()
	e := NewEvidence()
	for a := range 5 {
		complain(t, table, e, netip.AddrFrom4([4]byte{10, byte(a), 0, 1}))
	}
	for i := range 2 * maxComplaints {
		complain(t, table, e, netip.AddrFrom4([4]byte{172, 16, 1, byte(i)}))
		if i%10 == 0 {
			c.pass(time.Second)
		}
	}
	got := e.Findings(table)
	if len(got) != 1 || len(got[0].Addresses) != 5+maxOfNetwork {
		t.Fatalf("%+v", got)
	}
	for a := range 5 {
		if addr := netip.AddrFrom4([4]byte{10, byte(a), 0, 1}); !slices.Contains(got[0].Addresses, addr) {
			t.Errorf("%s was pushed out", addr)
		}
	}
	// Among many networks, the largest makes room.
	for i := range maxComplaints {
		complain(t, table, e, netip.AddrFrom4([4]byte{192, byte(i), 0, 1}))
	}
	if got = e.Findings(table); len(got) != 1 || len(got[0].Addresses) != maxComplaints {
		t.Fatalf("%+v", got)
	}
	if n := e.origins[near].size(netip.MustParsePrefix("172.16.0.0/16")); n > 1 {
		t.Errorf("%d of the network that complains most", n)
	}
}

// size returns the number of complaints of a network.
func (of *complaints) size(network netip.Prefix) (n int) {
	for _, c := range of.list {
		if network.Contains(c.addr) {
			n++
		}
	}
	return n
}

// The complaint of one address about many machines is not pushed out by its neighbours.
func TestABlockedNetworkIsNotPushedOut(t *testing.T) {
	table, _ := testTable()
	e := NewEvidence()
	note := func(last byte, ev Event) {
		e.Note(table, &Request{Addr: netip.AddrFrom4([4]byte{10, 0, 0, last}), Digest: testBlob(t, 1), Origin: near}, ev)
	}
	note(1, Blocked)
	for i := range 100 {
		note(byte(i+2), Complained)
	}
	if got := e.Findings(table); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// One client repeats the same request and gets nowhere. Alone that is no finding; several such clients are.
func TestWhoIsStuckIsOneAddress(t *testing.T) {
	for _, addresses := range []int{1, 4, 5} {
		table, _ := testTable()
		e := NewEvidence()
		for i := range addresses {
			r := &Request{Addr: netip.AddrFrom4([4]byte{10, byte(i), 0, 1}), Digest: testBlob(t, 1), Repository: "a", Origin: near}
			e.Note(table, r, Complained)
			e.Note(table, r, Stuck) // and the table sends it to the nearest
		}
		if got := e.Findings(table); (len(got) == 1) != (addresses >= enoughAddresses) {
			t.Errorf("%d stuck: %+v", addresses, got)
		}
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	table, _ := testTable()
	e := NewEvidence()
	for i := range maxOrigins + 10 {
		e.Note(table, &Request{Addr: client4, Digest: testBlob(t, 1), Origin: fmt.Sprint(i)}, Complained)
	}
	for i := range maxComplaints + 10 {
		e.Note(table, &Request{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Digest: testBlob(t, 1), Origin: "0"}, Complained)
	}
	for i := range maxComplaints + 10 {
		e.Note(table, &Request{Addr: netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), Digest: testBlob(t, 1), Origin: "1"}, Complained)
	}
	for origin, want := range map[string]int{"0": maxOfNetwork + 1, "1": maxComplaints} {
		if n := len(e.origins[origin].list); n != want {
			t.Errorf("%d complaints of %s, want %d", n, origin, want)
		}
	}
	if len(e.origins) != maxOrigins {
		t.Errorf("%d candidates", len(e.origins))
	}
}
