package show

import (
	"strings"
	"testing"

	"ociproxy/internal/plan"
)

// TestSure: the words say no more than the search knows.
func TestSure(t *testing.T) {
	for _, c := range []struct {
		name       string
		a          plan.Answer
		gap, proof string
	}{
		{"proven", plan.Answer{Proven: true}, "0, proven", "No other set is better: proven."},
		{"a limit ended the search", plan.Answer{Gap: 0.0312, WorthUSD: 1000, BoundUSD: 968.8}, "3.12%", "No other set is better by more than 3.12 %"},
		{"an approximation", plan.Answer{Estimated: true}, "about 0.00%", "nothing proves that no other set is better"},
	} {
		if got := gap(&c.a); got != c.gap {
			t.Errorf("%s: gap %q, want %q", c.name, got, c.gap)
		}
		if got := proof(&c.a); !strings.Contains(got, c.proof) {
			t.Errorf("%s: %q, want %q", c.name, got, c.proof)
		}
	}
}
