package health

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newRoster(n int) *roster {
	r := &roster{eject: 3, readmit: 5, proof: 5, burst: 30 * time.Second, patience: patience}
	for i := range n {
		r.all = append(r.all, &candidate{Target: Target{Name: fmt.Sprint("s", i)}})
	}
	return r
}

func (r *roster) usable() string {
	var b strings.Builder
	for _, c := range r.all {
		b.WriteByte("+-j"[c.standing])
	}
	if r.frozen {
		b.WriteString(" frozen")
	}
	return b.String()
}

// The test has one candidate. The first line has the outcomes of its probes: + pass, x fail, . neutral, 0 nothing to
// probe with. The second line has its state after each.
func TestOneCandidate(t *testing.T) {
	tests := []struct{ name, probes, want string }{
		{"three in a row eject", "xxx", "++-"},
		{"a pass between starts again", "xx+xx+xxx", "++++++++-"},
		{"neutral ones change nothing", "x..x..x", "++++++-"},
		{"neutral ones alone do nothing", "........", "++++++++"},
		{"five good ones re-admit", "xxx+++++", "++-----+"},
		{"a failure between starts again", "xxx++++x+++++", "++----------+"},
		{"neutral ones do not re-admit", "xxx++++....+", "++---------+"},
		{"after re-admission three again", "xxx+++++xxx", "++-----+++-"},
		{"what cannot be probed any more comes back", "xxx00000", "++-----+"},
		{"turns without a sample do not eject", "xx0000x", "++++++-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRoster(5)
			for _, c := range r.all[1:] {
				r.record(c, pass, 0)
			}
			var got strings.Builder
			for i, p := range tt.probes {
				r.record(r.all[0], outcomes[p], moment(i)*time.Second)
				got.WriteByte(r.usable()[0])
			}
			if got.String() != tt.want {
				t.Errorf("%s gave %s, want %s", tt.probes, got.String(), tt.want)
			}
		})
	}
}

var outcomes = map[rune]outcome{'+': pass, 'x': fail, '.': neutral, '0': barren}

// The test has many candidates. Each word is "candidate outcome…", with one probe a second.
func TestFleetRules(t *testing.T) {
	tests := []struct {
		name   string
		n      int
		probes string
		want   string
	}{
		{"one of two dies", 2, "0+ 1+ 0x 0x 0x", "-+"},
		{"both of two fail: our network", 2, "0+ 1+ 0x 1x 0x 1x 0x 1x", "++ frozen"},
		{"exactly half is not more than half", 4, "0+ 1+ 2+ 3+ 0x 1x 0x 1x 0x 1x", "--++"},
		{"more than half: our network", 3, "0+ 1+ 2+ 0x 1x 0x 1x 0x 1x", "+++ frozen"},
		{"those ejected in the burst come back", 3, "0+ 1+ 2+ 0x 0x 0x 1x", "+++ frozen"},
		{"those ejected long before do not", 3, "0+ 1+ 2+ 0x 0x 0x " + strings.Repeat("1+ ", 31) + "1x 2x", "-++ frozen"},
		{"the dead do not count as failing together", 4, "0+ 1+ 2+ 3+ 0x 0x 0x " + strings.Repeat("1+ ", 31) + "1x 1x 1x", "--++"},
		{"one of many probed so far", 3, "0x 0x 0x", "-++"},
		{"two of many probed so far: the others count as working", 5, "0x 0x 0x 1x 1x 1x", "--+++"},
		{"thaw when fewer than half fail", 3, "0+ 1+ 2+ 0x 1x 1+ 2+", "+++"},
		{"not when half fail", 4, "0+ 1+ 2+ 3+ 0x 1x 2x 2+", "++++ frozen"},
		{"what was counted while frozen does not eject", 3, "0+ 1+ 2+ 0x 1x 0x 1x 0x 1x 1+ 2+ 0x 0x", "+++"},
		{"but three more do", 3, "0+ 1+ 2+ 0x 1x 0x 1x 0x 1x 1+ 2+ 0x 0x 0x", "-++"},
		{"one that keeps working proves our network", 3, "0+ 1+ 2+ 0x 1x 0x 1x 0x 1x 2+ 2+ 2+ 2+ 2+ 0x 1x 0x 1x", "--+"},
		{"the others get their chance first", 3, "0+ 1+ 2+ 0x 1x 0x 1x 0x 1x 2+ 2+ 2+ 2+ 2+ 0x 1x", "+++"},
		{"and may have come back", 3, "0+ 1+ 2+ 0x 1x 0x 1x 0x 1x 2+ 2+ 2+ 2+ 2+ 0+ 1+", "+++"},
		{"four are no proof", 3, "0+ 1+ 2+ 0x 1x 0x 1x 0x 1x 2+ 2+ 2+ 2+", "+++ frozen"},
		{"the proof fails: frozen again, all back", 3, "0+ 1+ 2+ 0x 1x 0x 1x 0x 1x 2+ 2+ 2+ 2+ 2+ 0x 1x 0x 1x 2x", "+++ frozen"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRoster(tt.n)
			for i, w := range strings.Fields(tt.probes) {
				r.record(r.all[w[0]-'0'], outcomes[rune(w[1])], moment(i)*time.Second)
			}
			if got := r.usable(); got != tt.want {
				t.Errorf("%s gave %s, want %s", tt.probes, got, tt.want)
			}
		})
	}
}

func TestJoining(t *testing.T) {
	tests := []struct{ probes, want string }{
		{"+", "+"}, {"x", "j"}, {"xxxxxxxxxx", "j"}, {"xxxx+", "+"}, {".......", "j"}, {"0000", "j"}, {"00000", "+"}, {"000x000", "j"},
	}
	for _, tt := range tests {
		r := newRoster(3)
		r.all[0].standing = joining
		for i, p := range tt.probes {
			r.record(r.all[0], outcomes[p], moment(i)*time.Second)
		}
		if got := r.usable()[:1]; got != tt.want {
			t.Errorf("%s gave %s, want %s", tt.probes, got, tt.want)
		}
	}
}

func TestRollCall(t *testing.T) {
	r := newRoster(4)
	r.all[3].standing = ejected
	r.record(r.all[1], pass, 58*time.Second)
	r.record(r.all[0], fail, 60*time.Second)
	var got []bool
	for _, c := range r.all {
		got = append(got, c.prompt)
	}
	// 0 failed itself, 1 has just answered, 3 is out of service.
	if diff := cmp.Diff([]bool{false, false, true, false}, got); diff != "" {
		t.Errorf("prompted (-want +got):\n%s", diff)
	}
}

// naive has the same rules, derived from the complete history: it finds every count by reading the history backwards.
type naive struct {
	n                int
	history          []entry
	standing         []standing
	ejectedAt        []moment
	forgiven         []int // index into history; failures before it do not count
	trouble, frozen  bool
	troubleSince     int
	readmittedBarren []int // index into history; barren turns before it do not count
}

type entry struct {
	who int
	o   outcome
}

func newNaive(n int) *naive {
	return &naive{n: n, standing: make([]standing, n), ejectedAt: make([]moment, n), forgiven: make([]int, n), readmittedBarren: make([]int, n)}
}

// streak counts who's outcomes o from the end back to index from. It passes over the outcomes in skip, and stops at any
// other.
func (m *naive) streak(who int, o outcome, from int, skip ...outcome) int {
	n := 0
	for i := len(m.history) - 1; i >= from; i-- {
		e := m.history[i]
		if e.who != who {
			continue
		}
		if e.o == o {
			n++
			continue
		}
		skipped := false
		for _, s := range skip {
			skipped = skipped || s == e.o
		}
		if !skipped {
			break
		}
	}
	return n
}

func (m *naive) says(who int) (heard, probed, failing bool) {
	for _, e := range m.history {
		if e.who == who {
			heard = true
			if e.o == pass || e.o == fail {
				probed, failing = true, e.o == fail
			}
		}
	}
	return heard, probed, failing
}

func (m *naive) step(now moment, add ...entry) {
	m.history = append(m.history, add...)
	inBurst := func(i int) bool { return m.standing[i] == ejected && now-m.ejectedAt[i] <= 30*time.Second }
	population, voters, bad := 0, 0, 0
	for i := range m.n {
		if m.standing[i] == inService || inBurst(i) {
			heard, probed, failing := m.says(i)
			if probed || !heard {
				population++
			}
			if probed {
				voters++
			}
			if failing {
				bad++
			}
		}
	}
	more, fewer := float64(bad) > float64(population)/2, float64(bad) < float64(population)/2
	if !m.trouble && voters >= 2 && more {
		m.trouble, m.troubleSince = true, len(m.history)
	} else if m.trouble && (voters < 2 || fewer) {
		m.trouble = false
		for i := range m.n {
			if m.standing[i] == inService {
				m.forgiven[i] = len(m.history)
			}
		}
	}
	proven := false
	for i := range m.n {
		proven = proven || m.standing[i] == inService && m.streak(i, pass, m.troubleSince, neutral, barren) >= 5
	}
	if m.frozen && m.trouble && proven {
		for i := range m.n {
			if m.standing[i] == inService && m.streak(i, fail, m.forgiven[i], neutral, barren) > 1 {
				for m.forgiven[i] = len(m.history) - 1; m.history[m.forgiven[i]] != (entry{i, fail}); m.forgiven[i]-- {
				}
			}
		}
	}
	m.frozen = m.trouble && !proven
	for i := range m.n {
		failures := m.streak(i, fail, m.forgiven[i], neutral, barren)
		switch m.standing[i] {
		case inService:
			if failures >= 3 && !m.frozen {
				m.standing[i], m.ejectedAt[i] = ejected, now
				m.readmittedBarren[i] = len(m.history)
			}
		case ejected:
			if m.frozen && inBurst(i) || m.streak(i, pass, 0, neutral, barren) >= 5 || m.streak(i, barren, m.readmittedBarren[i]) >= 5 {
				m.standing[i] = inService
			}
		case joining:
		}
	}
}

func (m *naive) usable() string {
	var b strings.Builder
	for _, s := range m.standing {
		b.WriteByte("+-j"[s])
	}
	if m.frozen {
		b.WriteString(" frozen")
	}
	return b.String()
}

// Random histories, with phases in which one candidate, some or all of them fail, are compared with the naive model.
func TestRandomHistories(t *testing.T) {
	runs := 400
	if testing.Short() {
		runs = 50
	}
	seen := map[string]int{}
	for seed := range runs {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		n := 1 + rng.IntN(8)
		r, m := newRoster(n), newNaive(n)
		now := moment(0)
		chance := make([]float64, n) // chance to fail
		var trace strings.Builder
		for range 400 {
			if rng.IntN(25) == 0 { // a new phase
				cut := rng.Float64()
				for i := range chance {
					chance[i] = 0.02
					if rng.Float64() < cut {
						chance[i] = 0.97
					}
				}
			}
			now += moment(rng.Float64() * float64(4*time.Second))
			if rng.IntN(5) == 0 {
				r.judge(now)
				m.step(now)
			} else {
				i, o := rng.IntN(n), pass
				switch r := rng.Float64(); {
				case r < chance[i]:
					o = fail
				case r > 0.98:
					o = barren
				case r > 0.95:
					o = neutral
				}
				fmt.Fprintf(&trace, "%v %d%s ", now.Round(time.Second/10), i, map[outcome]string{pass: "+", fail: "x", neutral: ".", barren: "0"}[o])
				r.record(r.all[i], o, now)
				m.step(now, entry{i, o})
			}
			if r.usable() != m.usable() {
				t.Fatalf("seed %d: roster %s, model %s after\n%s", seed, r.usable(), m.usable(), trace.String())
			}
			if r.frozen {
				seen["frozen"]++
			}
			if strings.Contains(r.usable(), "-") {
				seen["ejected"]++
			}
		}
	}
	if seen["frozen"] < 10*runs || seen["ejected"] < 10*runs {
		t.Errorf("the histories are too quiet: %v", seen)
	}
}
