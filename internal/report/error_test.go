package report

import (
	"math"
	"math/rand/v2"
	"testing"

	"ociproxy/internal/traffic"
)

// TestSampledLogsAreAsFarOffAsTheySay: of many samples of the same pulls, the bytes of at least 93 % are as close to the truth
// as the report says. A pull has lines of its own kind: small blobs, and a big one whole, cut or in chunks.
func TestSampledLogsAreAsFarOffAsTheySay(t *testing.T) {
	const share, seeds = 0.1, 500
	for _, pulls := range []struct {
		name            string
		small, big      int // pulls
		chunks, chunkOf float64
	}{
		{"few big blobs", 300, 60, 1, 256 << 10},
		{"a cut and its rest", 300, 60, 2, 128 << 10},
		{"chunks", 100, 60, 20, 100_000},
		{"many", 20_000, 2000, 3, 256 << 10},
		{"only small blobs", 400, 0, 0, 0},
	} {
		var lines []float64
		for i := range pulls.small + pulls.big {
			for j := range 3 {
				lines = append(lines, float64(1000+1500*((i+2*j)%6)))
			}
			if i < pulls.big {
				for range int(pulls.chunks) {
					lines = append(lines, pulls.chunkOf)
				}
			}
		}
		truth := 0.0
		for _, n := range lines {
			truth += n
		}
		rnd := rand.New(rand.NewPCG(1, uint64(pulls.big)))
		n := seeds
		if len(lines) > 10_000 {
			n /= 10
		}
		in, plain, width := 0, 0, 0.0
		for range n {
			row := traffic.Row{}
			for _, size := range lines {
				if rnd.Float64() < share {
					row.Add(&traffic.Row{Requests: 1 / share, Bytes: size / share, Lines: 1, Squares: size * size / share / share})
				}
			}
			s := sum{bytes: row.Bytes, variance: varianceOf(&row), sampled: row.Bytes}
			off, said := math.Abs(row.Bytes-truth)/row.Bytes, s.done().Error
			width += said / float64(n)
			if off <= said {
				in++
			}
			if off <= confidence*math.Sqrt(s.variance)/row.Bytes {
				plain++
			}
		}
		covered := float64(in) / float64(n)
		t.Logf("%s: %.1f %% of the samples are as close as ± %.1f %% says; %.1f %% with 1.96 standard deviations",
			pulls.name, 100*covered, 100*width, 100*float64(plain)/float64(n))
		if covered < 0.93 {
			t.Errorf("%s: only %.1f %% of the samples are as close as said", pulls.name, 100*covered)
		}
	}
}

// TestErrorOfAMixedSum: rows that were counted whole do not make the sampled ones look better known.
func TestErrorOfAMixedSum(t *testing.T) {
	part := sum{bytes: 1000, sampled: 1000, variance: 90_000}
	whole := sum{bytes: 9000}
	alone := part.done().Error * 1000
	part.add(&whole)
	if got := part.done().Error * 10_000; math.Abs(got-alone) > 1e-9 {
		t.Errorf("± %.0f bytes with rows that are exact, ± %.0f without", got, alone)
	}
	if e := whole.done().Error; e != 0 {
		t.Errorf("± %g of a sum that is exact", e)
	}
}
