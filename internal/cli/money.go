package cli

import (
	"fmt"
	"math"

	"github.com/dustin/go-humanize"
)

// USD returns an amount for people: $1,234.56, and whole dollars from an amount on: $12,346.
func USD(usd, whole float64) string {
	sign := ""
	if usd < 0 {
		sign, usd = "-", -usd
	}
	cents := math.Round(usd * 100)
	if cents >= whole*100 {
		return sign + "$" + humanize.Comma(int64(math.Round(usd)))
	}
	const dollar = 100
	return fmt.Sprintf("%s$%s.%02d", sign, humanize.Comma(int64(cents)/dollar), int64(cents)%dollar)
}
