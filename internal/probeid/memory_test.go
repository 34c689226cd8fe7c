package probeid

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/internal/key"
)

// at returns the outcome for a value that comes some time after noon.
func (k *Keys) at(value string, after time.Duration) Outcome {
	r := got()
	r.Now = noon.Add(after)
	return k.Verify([]string{value}, r).Outcome
}

func TestReplays(t *testing.T) {
	k := newKeys(MaxRPS)
	c := claim()
	c.Time = noon.Add(Life) // the clock of the prober is ahead: the longest life
	value := Sign(ours, c)
	if first := k.at(value, 0); first != Accepted {
		t.Fatal(first)
	}
	for after := time.Duration(0); after <= 2*Life; after += time.Second / 2 {
		if again := k.at(value, after); again != Replayed {
			t.Fatalf("after %v: %v", after, again)
		}
	}
	if late := k.at(value, 2*Life+time.Millisecond); late != Expired {
		t.Error(late)
	}
}

// The same, where nothing else comes between, for all times at which a generation may end.
func TestReplaysAtAllTimes(t *testing.T) {
	for begin := time.Duration(0); begin <= 2*keep; begin += 7 * time.Second {
		for _, after := range []time.Duration{0, time.Second, keep - time.Second, keep} {
			k := newKeys(MaxRPS)
			k.at(Sign(ours, claim()), 0) // begins a generation
			c := claim()
			c.Time = noon.Add(begin + Life)
			value := Sign(ours, c)
			if first := k.at(value, begin); first != Accepted {
				t.Fatal(begin, first)
			}
			if again := k.at(value, begin+after); again != Replayed {
				t.Errorf("used after %v, and %v later: %v", begin, after, again)
			}
		}
	}
}

func TestOnlyOneOfManyAtOnce(t *testing.T) {
	k, value := newKeys(MaxRPS), Sign(ours, claim())
	var accepted atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if k.at(value, 0) == Accepted {
				accepted.Add(1)
			}
		})
	}
	if all.Wait(); accepted.Load() != 1 {
		t.Errorf("%d accepted", accepted.Load())
	}
}

// Only accepted identities take memory, whatever else comes, and these are bounded by time and rate.
func TestMemoryIsBounded(t *testing.T) {
	k := newKeys(MaxRPS)
	most := 0
	size := func() int { return len(k.memory.used) + len(k.memory.earlier) }
	for second := range 600 {
		for range 20 * MaxRPS / 10 {
			var m mark
			for i := range m {
				m[i] = byte(rand.Uint32())
			}
			now := noon.Add(time.Duration(second) * time.Second)
			if k.accepted.AllowN(now, 1) {
				k.memory.use(m, now)
			}
		}
		most = max(most, size())
	}
	if bound := int(2*keep/time.Second)*MaxRPS + 2*MaxRPS; most > bound || most < bound/3 {
		t.Errorf("%d marks, the bound is %d", most, bound)
	}
	was := size()
	for range 100 {
		k.at(Sign(theirs, claim()), 600*time.Second)
		k.at(strings.Replace(Sign(ours, claim()), "addr=203", "addr=202", 1), 600*time.Second)
	}
	if size() > was {
		t.Errorf("identities that were refused take memory: %d, then %d", was, size())
	}
}

func TestAClockThatIsSetBack(t *testing.T) {
	m := newMemory()
	for i := range 10 { // each time by a day
		now := noon.Add(-time.Duration(i) * 24 * time.Hour)
		for n := range 100 {
			m.use(mark{byte(i), byte(n)}, now)
		}
	}
	if n := len(m.used) + len(m.earlier); n > 200 {
		t.Errorf("%d marks stay", n)
	}
	m.use(mark{77}, noon)
	m.use(mark{78}, noon.Add(-time.Millisecond)) // requests overtake each other
	if m.use(mark{77}, noon) {
		t.Error("forgotten at once")
	}
}

func TestMaxRPS(t *testing.T) {
	k := newKeys(3)
	var outcomes []string
	for range 5 {
		outcomes = append(outcomes, k.at(Sign(ours, claim()), 0).String())
	}
	outcomes = append(outcomes, k.at(Sign(ours, claim()), time.Second).String())
	if got := strings.Join(outcomes, " "); got != "accepted accepted accepted limited limited accepted" {
		t.Error(got)
	}
}

// garbage returns an identity that costs a verification and is not good.
func garbage() string {
	c := claim()
	c.Path = "/"
	return Sign(ours, c)
}

// A network that sends garbage gets a fifth of the verifications, and leaves most of them to others. All networks
// together get no more than there are.
func TestVerificationsAreShared(t *testing.T) {
	k, bad := newKeys(MaxRPS), garbage()
	verified := func(network string, tries int) (n int) {
		r := got()
		r.Network = netip.MustParsePrefix(network)
		for range tries {
			if k.Verify([]string{bad}, r).Outcome == Forged {
				n++
			}
		}
		return n
	}
	first := verified("192.0.2.0/24", 2*PerSecond)
	if first < MaxRPS || first > PerSecond/5 {
		t.Errorf("one network: %d", first)
	}
	all := first
	for i := range 8 {
		all += verified(fmt.Sprintf("2001:db8:%x::/48", i), PerSecond/2)
	}
	if next := verified("203.0.113.0/24", 10); next != 10 {
		t.Errorf("after nine greedy networks, the next gets %d of 10", next)
	}
	for i := range 500 {
		all += verified(fmt.Sprintf("2001:db9:%x::/48", i), 20)
	}
	if all > PerSecond {
		t.Errorf("%d in a second", all)
	}
	if len(k.memory.of) > PerSecond {
		t.Errorf("%d networks in memory", len(k.memory.of))
	}
	if next := k.at(Sign(ours, claim()), time.Second); next != Accepted {
		t.Errorf("in the next second: %v", next)
	}
}

// New keys count at once, old ones no longer, and what was used stays used.
func TestAReload(t *testing.T) {
	k := newKeys(3)
	used := Sign(ours, claim())
	if first := k.at(used, 0); first != Accepted {
		t.Fatal(first)
	}
	both := New([]Key{{"ops", key.Public(ours)}, {"more", key.Public(theirs)}}, 3, k)
	if again := both.at(used, 0); again != Replayed {
		t.Errorf("after a reload, the same is %v", again)
	}
	if said := both.at(Sign(theirs, claim()), 0); said != Accepted {
		t.Errorf("a new key: %v", said)
	}
	if both.at(Sign(ours, claim()), 0); both.at(Sign(ours, claim()), 0) != Limited {
		t.Error("a reload grants a burst")
	}
	last := New([]Key{{"more", key.Public(theirs)}}, 5, both)
	if said := last.at(Sign(ours, claim()), 0); said != ForeignKey {
		t.Errorf("a key that was removed: %v", said)
	}
	if said := last.at(Sign(theirs, claim()), 0); said != Accepted {
		t.Errorf("another limit: %v", said)
	}
}

// What floods can consist of takes no memory, so it is no work for the garbage collector.
func TestAllocations(t *testing.T) {
	k, r := newKeys(MaxRPS), got()
	for what, values := range map[string][]string{
		"absent": nil, "malformed": {"v1;key="}, "twice": {"", ""}, "expired": {expired()}, "foreign": {Sign(theirs, claim())},
		"forged, or limited": {garbage()}, "another version": {"v2;" + strings.Repeat("x", 5000)},
	} {
		if n := testing.AllocsPerRun(2000, func() { k.Verify(values, r) }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	used := []string{Sign(ours, claim())}
	k = newKeys(MaxRPS)
	k.Verify(used, r)
	if n := testing.AllocsPerRun(2000, func() { k.Verify(used, r) }); n != 0 {
		t.Errorf("replayed: %v allocations", n)
	}
}

func expired() string {
	c := claim()
	c.Time = noon.Add(time.Hour)
	return Sign(ours, c)
}

func BenchmarkVerify(b *testing.B) {
	used := Sign(ours, claim())
	for what, value := range map[string]string{
		"malformed": "v1;key=garbage", "expired": expired(), "foreign-key": Sign(theirs, claim()), "replayed": used,
	} {
		b.Run(what, func(b *testing.B) {
			k, r, values := newKeys(MaxRPS), got(), []string{value}
			k.Verify([]string{used}, r)
			b.ReportAllocs()
			for b.Loop() {
				k.Verify(values, r)
			}
		})
	}
	b.Run("forged", func(b *testing.B) { // each in a second of its own: the bound must not hide the cost
		k, r, id := newKeys(MaxRPS), got(), identity{}
		id.parse(garbage())
		b.ReportAllocs()
		for b.Loop() {
			r.Now = r.Now.Add(time.Second)
			k.judge(&id, key.Public(ours), r)
		}
	})
	b.Run("flood", func(b *testing.B) { // beyond the bound
		k, r, values := newKeys(MaxRPS), got(), []string{garbage()}
		b.ReportAllocs()
		for b.Loop() {
			k.Verify(values, r)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	for b.Loop() {
		Sign(ours, claim())
	}
}
