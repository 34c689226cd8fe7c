package show

import (
	"fmt"
	"math"
	"strings"

	"ociproxy/internal/plan"
)

// The size of the chart in characters.
const chartWidth, chartHeight = 56, 10

// chart draws the frontier: money to the right, round trips up.
func chart(list []plan.Answer) string {
	if len(list) < 2 {
		return ""
	}
	minUSD, maxUSD, minMS, maxMS := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for i := range list {
		minUSD, maxUSD = min(minUSD, list[i].TotalUSD), max(maxUSD, list[i].TotalUSD)
		minMS, maxMS = min(minMS, list[i].MeanMS), max(maxMS, list[i].MeanMS)
	}
	rows := make([][]rune, chartHeight)
	for i := range rows {
		rows[i] = []rune(strings.Repeat(" ", chartWidth))
	}
	at := func(v, low, high float64, size int) int {
		if high == low {
			return 0
		}
		return int(math.Round((v - low) / (high - low) * float64(size-1)))
	}
	for i := range list {
		rows[chartHeight-1-at(list[i].MeanMS, minMS, maxMS, chartHeight)][at(list[i].TotalUSD, minUSD, maxUSD, chartWidth)] = '●'
	}
	var b strings.Builder
	for i, r := range rows {
		label := ""
		switch i {
		case 0:
			label = ms(maxMS) + " ms"
		case chartHeight - 1:
			label = ms(minMS) + " ms"
		}
		fmt.Fprintf(&b, "%9s ┤%s\n", label, strings.TrimRight(string(r), " "))
	}
	left, right := usd(minUSD), usd(maxUSD)
	fmt.Fprintf(&b, "%9s └%s\n", "", strings.Repeat("─", chartWidth))
	fmt.Fprintf(&b, "%9s  %s%*s\n", "", left, chartWidth-len(left), right+" a month")
	return b.String()
}
