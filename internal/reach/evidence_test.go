package reach

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// complain has an address ask again for a blob of a candidate.
func complain(t *testing.T, table *Table, e *Evidence, addr netip.Addr) {
	t.Helper()
	for range 2 {
		r := &Request{Addr: addr, Digest: testBlob(t, 1), Repository: "a", Origin: near}
		e.Note(table, r, table.Ask(r).Event)
	}
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

// Machines behind one address ask again, too: when they are found to be that, their complaint is void.
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

// A blocked network of machines behind one address is found within ten minutes, by itself.
func TestABlockedNetworkIsFound(t *testing.T) {
	table, c := testTable()
	e := NewEvidence()
	const machines = 20
	done := map[string]int{} // blobs that a machine has of an image
	for second := range 600 {
		for m := range machines {
			if second%(10+m%7) != 0 { // kubelets that back off
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

func TestEvidenceIsBounded(t *testing.T) {
	table, _ := testTable()
	e := NewEvidence()
	for i := range maxOrigins + 10 {
		e.Note(table, &Request{Addr: client4, Digest: testBlob(t, 1), Origin: fmt.Sprint(i)}, Complained)
	}
	for i := range maxComplaints + 10 {
		e.Note(table, &Request{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Digest: testBlob(t, 1), Origin: "0"}, Complained)
	}
	if len(e.origins) != maxOrigins || len(e.origins["0"].ring) != maxComplaints {
		t.Errorf("%d candidates, %d complaints", len(e.origins), len(e.origins["0"].ring))
	}
}
