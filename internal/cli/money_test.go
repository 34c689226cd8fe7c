package cli

import "testing"

// TestUSD: cents below a limit, whole dollars from it on; the sign stands before the currency.
func TestUSD(t *testing.T) {
	for _, tt := range []struct {
		usd, whole float64
		want       string
	}{
		{0, 100, "$0.00"}, {0.1 + 0.2, 100, "$0.30"}, {99.99, 100, "$99.99"}, {99.996, 100, "$100"}, {-5, 100, "-$5.00"}, {-1234.5, 100, "-$1,235"},
		{1234.56, 10_000, "$1,234.56"}, {9999.994, 10_000, "$9,999.99"}, {9999.995, 10_000, "$10,000"}, {-12345.4, 10_000, "-$12,345"},
	} {
		if got := USD(tt.usd, tt.whole); got != tt.want {
			t.Errorf("USD(%g, %g) = %s, want %s", tt.usd, tt.whole, got, tt.want)
		}
	}
}
