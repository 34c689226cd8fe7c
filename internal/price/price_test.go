package price

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestUnits(t *testing.T) {
	for _, tc := range []struct {
		unit Unit
		size float64
		base string
	}{
		{GB, 1e9, "bytes"}, {GiB, 1073741824, "bytes"}, {TB, 1e12, "bytes"}, {TiB, 1099511627776, "bytes"},
		{GBMonth, 1e9, "byte-months"}, {GiBMonth, 1073741824, "byte-months"}, {Requests, 1, "requests"}, {Requests1k, 1000, "requests"},
		{Requests10k, 10000, "requests"}, {Requests1M, 1e6, "requests"}, {Hour, 1, "hours"}, {Month, 1, "months"}, {"Gb", 0, ""},
	} {
		if tc.unit.Size() != tc.size || tc.unit.Base() != tc.base {
			t.Errorf("%s is %v %s, want %v %s", tc.unit, tc.unit.Size(), tc.unit.Base(), tc.size, tc.base)
		}
		if u, err := ParseUnit(string(tc.unit)); (err == nil) != (tc.size > 0) || err == nil && u != tc.unit {
			t.Errorf("%s is read as %q, %v", tc.unit, u, err)
		}
	}
	if len(Units()) != 12 {
		t.Errorf("units %v", Units())
	}
	if got := Convert(9, GiB, GiB); got != 9 {
		t.Errorf("9 cents became %v", got)
	}
	if got := Convert(8, GB, GiB); math.Abs(got-8.589934592) > 1e-12 {
		t.Errorf("8 cents per GB are %v per GiB", got)
	}
	if got := USD(GiB.Times(10), 9, GiB); math.Abs(got-0.9) > 1e-12 {
		t.Errorf("10 GiB at 9 cents are $%v", got)
	}
}

// TestHotPath: the counters of the request path call this for each redirect.
func TestHotPath(t *testing.T) {
	var sum float64
	if n := testing.AllocsPerRun(100, func() { sum += USD(12345, 9, GiB) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUSD(b *testing.B) {
	var sum float64
	size := 12345.0
	for b.Loop() {
		sum += USD(size, 9, GiB)
	}
	_ = sum
}

func TestParseLadder(t *testing.T) {
	l, err := ParseLadder(GiB, "9 10TiB:8.5 150TiB:~5")
	if err != nil {
		t.Fatal(err)
	}
	want := []Tier{{0, 9, false}, {TiB.Times(10), 8.5, false}, {TiB.Times(150), 5, true}}
	if !slices.Equal(l.Tiers, want) || l.Unit != GiB {
		t.Errorf("%+v", l)
	}
	if l, err := ParseLadder(GiBMonth, "2.3 50TiB:2.2"); err != nil || l.Tiers[1].From != TiB.Times(50) {
		t.Errorf("storage: %+v, %v", l, err)
	}
	if l, err := ParseLadder(Requests1M, "36 1000:30"); err != nil || l.Tiers[1].From != 1000 {
		t.Errorf("requests: %+v, %v", l, err)
	}
	for _, tc := range []struct {
		unit       Unit
		text, want string
	}{
		{GiB, "", "no price"}, {GiB, "9 8.5", "CENTS"}, {GiB, "10TiB:9", "CENTS"}, {GiB, "-1", "no price"}, {GiB, "NaN", "no price"}, {GiB, "1e9", "no price"},
		{GiB, "9 10:8", "not in bytes"}, {GiB, "9 10Tb:8", "unknown unit"}, {GiB, "9 TiB:8", "want a number"}, {GiB, "9 -1TiB:8", "want a number"},
		{GiB, "9 10TiB:8 10TiB:7", "ascending"}, {GiB, "9 10TiB:x", "no price"}, {Requests1k, "9 10TiB:8", "not in requests"}, {"GB!", "9", "unknown unit"},
	} {
		if _, err := ParseLadder(tc.unit, tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %q", tc.text, err, tc.want)
		}
	}
}

// naive bills unit by unit.
func naive(l Ladder, from, quantity float64) (usd float64) {
	for at := from; at < from+quantity; at++ {
		usd += USD(1, l.Marginal(at).Cents, l.Unit)
	}
	return usd
}

func TestBillIsTheSumOfMarginalPrices(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		l := Ladder{Unit: Requests1k}
		for from := 0; from < 400; from += 1 + rng.IntN(150) {
			l.Tiers = append(l.Tiers, Tier{From: float64(from), Cents: float64(rng.IntN(1000))})
		}
		from, quantity := float64(rng.IntN(500)), float64(rng.IntN(500))
		got, want := l.Bill(from, quantity), naive(l, from, quantity)
		if math.Abs(got-want) > 1e-9 {
			t.Fatalf("%+v from %v: %v costs $%v, want $%v", l, from, quantity, got, want)
		}
		// Two parts cost what the whole costs, and nothing is outside the range.
		part := math.Floor(quantity / 3)
		if two := l.Bill(from, part) + l.Bill(from+part, quantity-part); math.Abs(two-got) > 1e-9 {
			t.Fatalf("two parts cost $%v, the whole $%v", two, got)
		}
		if low, high := l.Range(quantity); got < low-1e-9 || got > high+1e-9 {
			t.Fatalf("$%v is not within %v to %v", got, low, high)
		}
		if l.Marginal(from) != l.Tiers[l.Step(from)] {
			t.Fatal("Marginal and Step differ")
		}
		if half := l.Scale(0.5).Bill(from, quantity); math.Abs(half-got/2) > 1e-9 {
			t.Fatalf("at half the prices $%v, want $%v", half, got/2)
		}
	}
	var none Ladder
	if none.Bill(0, 1e9) != 0 || none.Marginal(5) != (Tier{}) || none.Step(1) != 0 {
		t.Error("the zero ladder costs something")
	}
}
