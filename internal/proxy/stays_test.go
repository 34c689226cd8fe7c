package proxy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
	"ociproxy/internal/route"
)

// clock is a time that tests set.
type clock struct{ at moment }

func newTestStays() (*stays, *clock) {
	c := &clock{at: moment(time.Hour)}
	s := newStays()
	s.now = func() moment { return c.at }
	return s, c
}

func (c *clock) pass(d time.Duration) { c.at += moment(d) }

func tagPlan(s *stays, origin string, lag time.Duration) *plan {
	req := &oci.Request{Kind: oci.KindTag, Name: "a", Tag: "v1"}
	return &plan{
		key: s.key(route.Network(netip.MustParseAddr("192.0.2.9")), req), tag: s.tag(req),
		origin: s.origin(origin), lag: lag, canonical: origin == "canonical",
	}
}

// claimed returns who answers a request that would be sent to want.
func (s *stays) claimed(want string, lag time.Duration) string {
	at, _ := s.claim(tagPlan(s, want, lag))
	for _, origin := range []string{"canonical", "near", "far"} {
		if s.origin(origin) == at {
			return origin
		}
	}
	return "?"
}

func TestANetworkStays(t *testing.T) {
	const lag = 10 * time.Minute
	type step struct {
		after      time.Duration
		want, gets string
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"at the nearest", []step{{0, "near", "near"}, {time.Second, "near", "near"}, {time.Hour, "near", "near"}}},
		{"at canonical for the lag", []step{
			{0, "canonical", "canonical"}, {time.Second, "near", "canonical"}, {lag - 2*time.Second, "near", "canonical"},
		}},
		{"and not longer, when it asks nothing meanwhile", []step{{0, "canonical", "canonical"}, {lag, "near", "near"}}},
		{"at canonical when the nearest fails for a moment", []step{
			{0, "near", "near"}, {time.Minute, "canonical", "canonical"}, {time.Second, "near", "canonical"}, {lag, "near", "near"}, {time.Second, "near", "near"},
		}},
		{"at the replica it was sent to", []step{{0, "far", "far"}, {time.Minute, "near", "far"}, {lag, "near", "near"}, {time.Minute, "far", "near"}}},
		{"away only from what may be behind", []step{{0, "far", "far"}, {time.Minute, "canonical", "canonical"}, {time.Minute, "far", "canonical"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, c := newTestStays()
			for i, st := range tt.steps {
				c.pass(st.after)
				if got := s.claimed(st.want, lag); got != st.gets {
					t.Errorf("step %d: %s, want %s", i, got, st.gets)
				}
			}
		})
	}
}

func TestAReplicaThatIsNeverBehindKeepsNobodyAway(t *testing.T) {
	s, _ := newTestStays()
	for _, want := range []string{"canonical", "near", "canonical", "near"} {
		if got := s.claimed(want, 0); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestToExplainChangesNothing(t *testing.T) {
	s, c := newTestStays()
	p := tagPlan(s, "canonical", 0)
	p.peek = true
	s.claim(p)
	if got := s.claimed("near", time.Hour); got != "near" {
		t.Errorf("%s, want near: nobody was sent to canonical", got)
	}
	c.pass(time.Minute)
	s.claimed("canonical", 0)
	c.pass(59 * time.Minute)
	p = tagPlan(s, "near", time.Hour)
	p.peek = true
	s.claim(p)
	c.pass(2 * time.Minute)
	if got := s.claimed("near", time.Hour); got != "near" {
		t.Errorf("%s, want near: an explanation is no request", got)
	}
}

// Without comparisons, a client that asks more often than the lag would stay away forever.
func TestWhoAsksAgainAndAgainComesBack(t *testing.T) {
	const lag = 10 * time.Minute
	for _, tt := range []struct {
		name  string
		found existence.Comparison
		never bool // no comparison ends
		back  time.Duration
	}{
		{"the same", existence.Same, false, lag},
		{"nobody can say", existence.Incomparable, false, lag},
		{"behind", existence.Different, false, 0},
		{"no result", existence.Same, true, 4 * lag},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, c := newTestStays()
			s.claimed("canonical", 0)
			p := tagPlan(s, "near", lag)
			back := time.Duration(0)
			compared := 0
			for d := time.Duration(0); d < 10*lag && back == 0; d += 5 * time.Second {
				c.pass(5 * time.Second)
				at, compare := s.claim(p)
				if at == p.origin {
					back = d + 5*time.Second
				}
				if compare && s.begin(p.tag^p.origin) && !tt.never {
					compared++
					c.at++
					s.end(p.tag^p.origin, c.at, tt.found)
				}
			}
			if back.Truncate(10*time.Second) != tt.back {
				t.Errorf("back after %s, want %s", back, tt.back)
			}
			if tt.back == lag && compared > 31 {
				t.Errorf("compared %d times in five minutes", compared)
			}
		})
	}
}

// Random histories: a network never sees an older image, unless nothing else could answer.
func TestNobodySeesAnOlderImage(t *testing.T) {
	for seed := range uint64(300) {
		if err := history(rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// history simulates one tag at one canonical upstream and two replicas, and a client that polls.
func history(random *rand.Rand) error {
	s, c := newTestStays()
	lag := time.Duration(1+random.IntN(20)) * time.Minute
	names := []string{"canonical", "near", "far"}
	version, seen := 0, 0
	behind := map[string][]moment{} // by replica: when it got each version
	had := []moment{0}              // when canonical got each version
	content := func(name string, at moment) int {
		when := had
		if name != "canonical" {
			when = behind[name]
		}
		v := 0
		for i, t := range when {
			if t <= at {
				v = max(v, i)
			}
		}
		return v
	}
	behind["near"], behind["far"] = []moment{0}, []moment{0}
	pace := []time.Duration{time.Second, 20 * time.Second, lag / 3, 2 * lag}[random.IntN(4)]
	for range 400 {
		c.pass(time.Duration(random.Int64N(int64(2 * pace))))
		if random.IntN(8) == 0 {
			version++
			had = append(had, c.at)
			for _, r := range names[1:] {
				late := c.at + moment(random.Int64N(int64(lag)))
				behind[r] = append(behind[r], max(late, behind[r][version-1]))
			}
			c.pass(time.Duration(random.Int64N(int64(pace))))
		}
		up := map[string]bool{"canonical": random.IntN(10) > 0, "near": random.IntN(5) > 0, "far": random.IntN(5) > 0}
		want := "canonical"
		for _, r := range []string{"far", "near"} {
			if up[r] {
				want = r
			}
		}
		p := tagPlan(s, want, lag)
		at, compare := s.claim(p)
		if compare && s.begin(p.tag^p.origin) {
			asked := c.at
			c.at++
			found := existence.Same
			if content(want, c.at) != content("canonical", c.at) {
				found = existence.Different
			}
			s.end(p.tag^p.origin, asked+1, found)
		}
		got := names[0]
		for _, name := range names {
			if s.origin(name) == at {
				got = name
			}
		}
		forced := false
		if !up[got] {
			got = "canonical"
			if !up[got] {
				got, forced = want, true
			}
			p := tagPlan(s, got, lag)
			p.canonical = true
			s.claim(p)
		}
		switch v := content(got, c.at); {
		case forced:
			seen = v
		case v < seen:
			return fmt.Errorf("version %d from %s after %d", v, got, seen)
		default:
			seen = v
		}
	}
	return nil
}

func TestStaysAreBounded(t *testing.T) {
	s, c := newTestStays()
	for i := range 1_000_000 {
		req := &oci.Request{Kind: oci.KindTag, Name: "a", Tag: fmt.Sprint("v", i%1000)}
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		s.claim(&plan{key: s.key(network, req), tag: s.tag(req), origin: 7})
		c.at++
	}
	used := 0
	for i := range s.sets {
		for _, e := range s.sets[i] {
			if e.key != 0 {
				used++
			}
		}
	}
	if used < stayWays*staySets*9/10 {
		t.Errorf("%d of %d places used", used, stayWays*staySets)
	}
}

func TestStaysDoNotAllocate(t *testing.T) {
	s, _ := newTestStays()
	req := &oci.Request{Kind: oci.KindTag, Name: "a/b/c", Tag: "v1.2.3"}
	network := netip.MustParsePrefix("192.0.2.0/24")
	if n := testing.AllocsPerRun(1000, func() {
		s.claim(&plan{key: s.key(network, req), tag: s.tag(req), origin: s.origin("https://registry.example/v2/")})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
