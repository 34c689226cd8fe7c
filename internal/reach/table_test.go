package reach

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"ociproxy/internal/oci"
)

// clock is the time of a table under test.
type clock struct{ at time.Time }

func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

func testTable() (*Table, *clock) {
	c := &clock{time.Unix(1_800_000_000, 0)}
	t := New()
	t.now = func() time.Time { return c.at }
	return t, c
}

var client4 = netip.MustParseAddr("192.0.2.7")

const near, far = "https://near/", "https://far/"

func testBlob(tb testing.TB, n int) oci.Digest {
	tb.Helper()
	d, err := oci.ParseDigest(fmt.Sprintf("sha256:%064x", n))
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// asks sends requests for the blobs first to last of an image and returns the levels.
func asks(tb testing.TB, t *Table, addr netip.Addr, image, first, last int) (levels []Level) {
	tb.Helper()
	for n := first; n <= last; n++ {
		a := t.Ask(&Request{Addr: addr, Digest: testBlob(tb, image*1000+n), Repository: fmt.Sprint("app", image), Origin: near})
		levels = append(levels, a.Level)
	}
	return levels
}

func all(tb testing.TB, what string, got []Level, want Level) {
	tb.Helper()
	for i, l := range got {
		if l != want {
			tb.Errorf("%s: request %d at level %d, want %d", what, i, l, want)
			return
		}
	}
}

func TestAClientBehindABrokenPath(t *testing.T) {
	table, c := testTable()
	all(t, "first", asks(t, table, client4, 1, 1, 3), Nearest)
	c.pass(10 * time.Second)
	all(t, "second", asks(t, table, client4, 1, 1, 9), Next)
	all(t, "another image", asks(t, table, client4, 2, 1, 9), Next)
	all(t, "another client", asks(t, table, netip.MustParseAddr("192.0.2.8"), 1, 1, 3), Nearest)
	c.pass(time.Hour)
	all(t, "the test after an hour", asks(t, table, client4, 3, 1, 1), Nearest)
	all(t, "others meanwhile", asks(t, table, client4, 3, 2, 3), Next)
	all(t, "it failed", asks(t, table, client4, 3, 1, 3), Next)
	c.pass(time.Hour)
	all(t, "the next test", asks(t, table, client4, 4, 1, 1), Nearest)
	c.pass(11 * time.Minute)
	all(t, "it went well", asks(t, table, client4, 4, 2, 9), Nearest)
}

func TestAClientThatReachesNoStore(t *testing.T) {
	table, c := testTable()
	for i, want := range []Level{Nearest, Next, Upstream} {
		all(t, fmt.Sprint("pull ", i+1), asks(t, table, client4, 1, 1, 3), want)
		c.pass(20 * time.Second)
	}
	all(t, "the rest of the image", asks(t, table, client4, 1, 4, 9), Upstream)
	all(t, "one connection that breaks", asks(t, table, client4, 1, 9, 9), Upstream)
	all(t, "another image", asks(t, table, client4, 2, 1, 9), Upstream)
}

// The table does not send an address past a candidate that was only its nearest while another one was out of service.
func TestOnlyTheCandidateThatFailsIsPassedOver(t *testing.T) {
	table, _ := testTable()
	asks(t, table, client4, 1, 1, 3)
	all(t, "second", asks(t, table, client4, 1, 1, 3), Next)
	r := &Request{Addr: client4, Digest: testBlob(t, 5), Repository: "x", Origin: far}
	if a := table.Ask(r); a.Level != Nearest {
		t.Errorf("with another nearest: level %d", a.Level)
	}
}

func TestAnIPv6NetworkIsOneClient(t *testing.T) {
	table, _ := testTable()
	a, b, other := netip.MustParseAddr("2001:db8:1:2::3"), netip.MustParseAddr("2001:db8:1:2:ffff::9"), netip.MustParseAddr("2001:db8:1:3::3")
	asks(t, table, a, 1, 1, 1)
	all(t, "the same /64", asks(t, table, b, 1, 1, 1), Next)
	all(t, "another /64", asks(t, table, other, 1, 1, 1), Nearest)
	mapped := netip.MustParseAddr("::ffff:192.0.2.7")
	asks(t, table, mapped, 1, 1, 1)
	all(t, "IPv4 in IPv6", asks(t, table, client4, 1, 1, 1), Next)
}

func TestSkip(t *testing.T) {
	table, _ := testTable()
	asks(t, table, client4, 1, 1, 1)
	asks(t, table, client4, 1, 1, 1)
	table.Skip(client4)
	if l := table.Level(&Request{Addr: client4, Origin: near}); l != Upstream {
		t.Errorf("level %d, want the upstream", l)
	}
	table.Skip(netip.MustParseAddr("203.0.113.1")) // nothing is known about this one
}

// The memory for all addresses is bounded. If 50 addresses come per second, 95 % of them are kept for the window.
func TestMemory(t *testing.T) {
	table, c := testTable()
	size := unsafe.Sizeof(*table) + uintptr(len(table.tags))*unsafe.Sizeof(table.tags[0]) + uintptr(len(table.lines))*unsafe.Sizeof(line{})
	if size > 8<<20 {
		t.Errorf("%d bytes, want at most 8 MiB", size)
	}
	const perSecond, seconds = 50, Window
	addr := func(i int) netip.Addr {
		return netip.AddrFrom4([4]byte{byte(10 + i>>24), byte(i >> 16), byte(i >> 8), byte(i)})
	}
	ask := func(i int) bool {
		return table.Ask(&Request{Addr: addr(i), Digest: testBlob(t, 1), Repository: "a", Origin: near}).Again
	}
	for i := range perSecond * seconds { // one window earlier
		ask(1<<22 + i)
		if i%perSecond == 0 {
			c.pass(time.Second)
		}
	}
	for i := range perSecond * seconds {
		ask(i)
		if i%perSecond == 0 {
			c.pass(time.Second)
		}
	}
	kept := 0
	for i := range perSecond * seconds {
		if table.find(ptr(table.where(addr(i)))) != nil {
			kept++
		}
	}
	if share := float64(kept) / (perSecond * seconds); share < 0.95 {
		t.Errorf("%.1f %% kept", 100*share)
	} else {
		t.Logf("%.2f %% kept", 100*share)
	}
}

func ptr[T any](v T) *T { return &v }

func TestAskDoesNotAllocate(t *testing.T) {
	table, _ := testTable()
	r := &Request{Addr: client4, Digest: testBlob(t, 1), Repository: "library/app", Origin: near}
	if n := testing.AllocsPerRun(1000, func() { table.Ask(r) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAsk(b *testing.B) {
	table := New()
	r := &Request{Addr: client4, Digest: testBlob(b, 1), Repository: "library/app", Origin: near}
	b.ReportAllocs()
	for b.Loop() {
		table.Ask(r)
	}
}

func BenchmarkAskOfManyAddresses(b *testing.B) {
	table := New()
	r := &Request{Digest: testBlob(b, 1), Repository: "library/app", Origin: near}
	i := 0
	for b.Loop() {
		i++
		r.Addr = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		table.Ask(r)
	}
}

// Before this client came back for a blob, requests of others showed that the nearest does not have it. So the blob has
// another nearest now. The client is still sent past the candidate that failed it, for its other blobs, which that
// candidate does not have either.
func TestOthersFoundOutFirst(t *testing.T) {
	table, _ := testTable()
	asks(t, table, client4, 1, 1, 3)
	again := &Request{Addr: client4, Digest: testBlob(t, 1001), Repository: "app1", Origin: far}
	if a := table.Ask(again); a.Level != Nearest || a.Event != Complained {
		t.Errorf("the blob that was found lacking: %+v, want its nearest now", a)
	}
	all(t, "the others", asks(t, table, client4, 1, 2, 6), Next)
}

// The same, if now only canonical has the blob. For its other blobs, the client is not sent again to the candidate that
// does not have them, one blob per try. A request that was never sent to a store is not recorded, however often it is
// repeated.
func TestOnlyCanonicalIsLeft(t *testing.T) {
	table, _ := testTable()
	ask := func(n int) Answer {
		return table.Ask(&Request{Addr: client4, Digest: testBlob(t, n), Repository: "app1", Origin: far, Last: true})
	}
	for range 3 {
		if a := ask(7); a != (Answer{}) {
			t.Errorf("canonical's own: %+v", a)
		}
	}
	asks(t, table, client4, 1, 1, 3)
	if a := ask(1001); a.Event != Complained {
		t.Errorf("the blob that was found lacking: %+v", a)
	}
	all(t, "the others", asks(t, table, client4, 1, 2, 6), Next)
	if a := ask(1002); !a.Again {
		t.Errorf("what did not come from the next one either: %+v", a)
	}
}

// What the table learned belongs to a candidate, and ends with it.
func TestKeep(t *testing.T) {
	table, _ := testTable()
	asks(t, table, client4, 1, 1, 3)
	asks(t, table, client4, 1, 1, 1)
	other := netip.MustParseAddr("198.51.100.7")
	asks(t, table, other, 1, 1, 1)
	table.Keep([]string{near, far})
	all(t, "its candidate is there", asks(t, table, client4, 1, 2, 3), Next)
	table.Keep([]string{far})
	all(t, "its candidate is gone", asks(t, table, client4, 2, 1, 3), Nearest)
	if a := table.Ask(&Request{Addr: other, Digest: testBlob(t, 1001), Repository: "app1", Origin: near}); !a.Again {
		t.Error("what another asked for is forgotten")
	}
}

// A hold that is over is also over for requests that are not recorded.
func TestLevelEnds(t *testing.T) {
	table, c := testTable()
	asks(t, table, client4, 1, 1, 3)
	asks(t, table, client4, 1, 1, 3)
	r := &Request{Addr: client4, Digest: testBlob(t, 1001), Repository: "app1", Origin: near}
	if got := table.Level(r); got != Next {
		t.Fatalf("level %d", got)
	}
	c.pass(30 * 24 * time.Hour)
	if got := table.Level(r); got != Nearest {
		t.Errorf("level %d a month later", got)
	}
}
