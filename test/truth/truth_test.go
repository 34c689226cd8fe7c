package truth

import (
	"testing"
	"time"

	"ociproxy/test/parts"
)

// centsPerGiB are the list prices of 2026-11 that the cells meet, at the first tier, by store and client place. They stand
// here a second time, by hand, so that a wrong unit or a wrong row of the program's tables is noticed.
var centsPerGiB = map[string]float64{
	"s3-use1 aws/us-east-1":    0, // the same region
	"s3-use1 aws/eu-west-1":    2, // another region of Amazon
	"gs-usc1 gcp/europe-west1": 5,
	"az-we azure/northeurope":  2,
	"cdn ":                     8.5,
}

// requestsUSD returns what the requests of a cell cost, which the report adds to the price of the bytes.
func requestsUSD(k cell, is *tally) float64 {
	return 0
}

func TestSlowTruth(t *testing.T) {
	parts.Slow(t)
	begin := time.Now()
	w := start(t)
	t.Logf("started in %s", time.Since(begin))
	begin = time.Now()
	day := w.record(t, 3, []mix{
		{"virginia", 600, map[string]int{"containerd": 40, "crane": 40, "stargz": 40, "soci": 20, "curl": 20}},
		{"belgium", 600, map[string]int{"containerd": 40, "crane": 40, "stargz": 40, "soci": 20, "curl": 20}},
		{"home", 600, map[string]int{"containerd": 40, "crane": 40, "stargz": 40, "soci": 20, "curl": 20}},
		{"dublin", 600, map[string]int{"containerd": 40, "crane": 40, "stargz": 40, "soci": 20, "curl": 20}},
		{"ireland", 60, map[string]int{"containerd": 4}},
	})
	t.Logf("loaded in %s", time.Since(begin))
	begin = time.Now()
	truth := day.truth()
	a := day.logs.stores().account(t, day.day, options{})
	t.Log(truth.off(t, "logs", a.cells()))
	p := day.logs.only(proxyLog).account(t, day.day, options{})
	t.Log(truth.joined().off(t, "proxy", p.cells()))
	t.Logf("judged in %s", time.Since(begin))
	for _, m := range a.Months {
		for _, l := range m.Lines {
			t.Logf("%+v", l)
		}
	}
	for _, l := range a.Left {
		t.Logf("%+v", l)
	}
	for _, l := range a.result.Left.List() {
		t.Logf("%+v", l)
	}
	t.Logf("%+v %q", a.counts, a.Warnings)
}
