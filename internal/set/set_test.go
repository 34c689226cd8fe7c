package set

import (
	"maps"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// oracle is a set in its simplest form.
type oracle map[int]bool

func (o oracle) set() Set { return Of(slices.Collect(maps.Keys(o))...) }

func (o oracle) keep(f func(i int) bool) {
	maps.DeleteFunc(o, func(i int, _ bool) bool { return !f(i) })
}

// random prefers numbers at the edges of the words.
func random(rng *rand.Rand) int {
	if rng.IntN(2) == 0 {
		return []int{0, 1, 63, 64, 127, 128, 191, 192, 254, 255}[rng.IntN(10)]
	}
	return rng.IntN(Max)
}

func TestAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var s Set
	want := oracle{}
	for step := range 10_000 {
		i, other := random(rng), oracle{}
		for range rng.IntN(40) {
			other[random(rng)] = true
		}
		o := other.set()
		switch rng.IntN(7) {
		case 0, 1:
			s.Add(i)
			want[i] = true
		case 2:
			s.Remove(i)
			delete(want, i)
		case 3:
			s.Or(&o)
			maps.Copy(want, other)
		case 4:
			s.AndNot(&o)
			want.keep(func(i int) bool { return !other[i] })
		case 5:
			if rng.IntN(10) == 0 {
				s.And(&o)
				want.keep(func(i int) bool { return other[i] })
			}
		case 6:
			meets := false
			for i := range other {
				meets = meets || want[i]
			}
			if s.Meets(&o) != meets {
				t.Fatalf("step %d: %v meets %v: %v", step, s, o, !meets)
			}
		}
		var got []int
		s.Each(func(i int) { got = append(got, i) })
		if members := slices.Sorted(maps.Keys(want)); !slices.Equal(members, got) {
			t.Fatalf("step %d: members %v, want %v", step, got, members)
		}
		if s.Len() != len(want) || s.Empty() != (len(want) == 0) || s.Has(i) != want[i] || s != want.set() {
			t.Fatalf("step %d: %v is not %v", step, s, want)
		}
	}
}

func TestFull(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 255, Max} {
		s := Full(n)
		if s.Len() != n || n > 0 && !s.Has(n-1) || n < Max && s.Has(n) {
			t.Errorf("the first %d: %v", n, s)
		}
	}
}

// A number out of range must not be taken for another number.
func TestOutside(t *testing.T) {
	for _, i := range []int{-1, Max} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d was put into a set", i)
				}
			}()
			Of(i)
		}()
	}
}

// Every request uses these methods for every candidate. A function call would cost more than the work in it.
func TestInlined(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-m", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"Add", "Remove", "Has", "Empty", "Len", "Each", "Or", "And", "AndNot", "Meets"} {
		if !strings.Contains(string(out), "can inline (*Set)."+name+"\n") {
			t.Errorf("%s is not inlined", name)
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	a, b := Full(200), Of(1, 100, 255)
	n := 0
	if allocs := testing.AllocsPerRun(100, func() {
		c := a
		c.AndNot(&b)
		c.Or(&b)
		c.And(&a)
		c.Each(func(i int) { n += i })
		if c.Meets(&b) && !c.Empty() && c != b {
			n += c.Len()
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
