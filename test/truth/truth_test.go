package truth

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/delivered"
	"ociproxy/internal/usage"
	"ociproxy/test/parts"
)

// centsPerGiB are the list prices of 2026-11 that the cells meet beyond the first 5 TB, by store and client place, and
// dollarsPerRequest those of a GET or HEAD; CloudFront's first ten million are free. They stand here a second time, by hand, so that a wrong unit, step or row of the
// program's tables is noticed.
var (
	centsPerGiB = map[string]float64{
		"s3-use1 aws/us-east-1":    0, // the same region
		"s3-use1 aws/eu-west-1":    2, // another region of Amazon
		"gs-usc1 gcp/europe-west1": 5,
		"az-we azure/northeurope":  2,
		"cdn ":                     11, // nobody knows where these clients are: the dearest area
	}
	dollarsPerRequest = map[string]float64{storeS3: 0.0004e-3, storeGCS: 0.0004e-3, storeAzure: 0.005e-4}
)

// learned is the load of a day from whose logs factors are learned.
func learned() []mix {
	bigs := map[string]int{"containerd": 64, "crane": 66, "stargz": 30, "soci": 30, "curl": 64}
	return []mix{{"virginia", 300, bigs}, {"belgium", 300, bigs}, {"dublin", 300, bigs}, {"home", 300, bigs}, {"ireland", 1, nil}}
}

// judged is the load of the day on which they are judged: other programs in each place, and many more small blobs.
func judged() []mix {
	return []mix{
		{"virginia", 1500, map[string]int{"crane": 45, "curl": 46}},
		{"ireland", 200, map[string]int{"curl": 10}},
		{"belgium", 1700, map[string]int{"containerd": 80, "soci": 10}},
		{"dublin", 1700, map[string]int{"stargz": 45, "soci": 30}},
		{"home", 1700, map[string]int{"containerd": 20, "crane": 30, "curl": 50, "stargz": 15}},
	}
}

func TestSlowTruth(t *testing.T) {
	parts.Slow(t)
	w := start(t)
	first, second := w.record(t, -2, learned()), w.record(t, -1, learned())
	factors := learn(t, first, second)
	before, scraped := w.counters(t), w.scrapes(t)
	day := w.record(t, 0, judged())
	after := w.counters(t)
	w.scraped(t, scraped)
	w.settled(t, scraped, before, after)
	truth := day.truth()

	t.Run("the logs of the stores", func(t *testing.T) {
		got := day.logs.stores().account(t, day.day, options{}).cells()
		if wrong := truth.off(t, "logs", got, 1000); len(wrong) > 0 {
			t.Errorf("more than 2 %% off:\n%s", strings.Join(wrong, "\n"))
		}
	})
	corrected := day.logs.only(proxyLog).account(t, day.day, options{each: factors.Apply}).cells()
	whole := day.logs.only(proxyLog).account(t, day.day, options{})
	raw := whole.cells()
	t.Run("the proxy's log", func(t *testing.T) {
		if wrong := truth.joined().off(t, "log", corrected, enough); len(wrong) > 0 {
			t.Errorf("more than 2 %% off:\n%s", strings.Join(wrong, "\n"))
		}
		if wrong := truth.joined().off(t, "log without factors", raw, enough); len(wrong) < 2 {
			t.Errorf("without factors only these cells are off, so the test proves nothing about them: %q", wrong)
		}
	})
	t.Run("the proxy's counters", func(t *testing.T) {
		// They do not say which programs pulled. The mix is that of the request log of the same day.
		got := cells{}
		for k, v := range after {
			bytes := v - before[k]
			if logged := raw.at(k).bytes; ratio(bytes, logged) < -1e-9 || ratio(bytes, logged) > 0.001 {
				t.Errorf("%v: the counters say %.0f bytes, the log %.0f", k, bytes, logged)
			}
			is := got.at(k)
			is.bytes = bytes * corrected.at(k).bytes / raw.at(k).bytes
			is.usd = corrected.at(k).usd
		}
		if wrong := truth.joined().off(t, "counters", got, enough); len(wrong) > 0 {
			t.Errorf("more than 2 %% off:\n%s", strings.Join(wrong, "\n"))
		}
	})
	t.Run("the program", func(t *testing.T) { commanded(t, scraped, day, truth, first, second) })
	t.Run("a sample of the proxy's log", func(t *testing.T) { sampled(t, day, whole) })
	t.Run("the factors of the day itself", func(t *testing.T) {
		f, refused := learn(t, day), 0
		day.logs.only(proxyLog).account(t, day.day, options{each: func(use *usage.Use, rec *accesslog.Record) error {
			if f.Apply(use, rec) != nil {
				refused = 1
			}
			return nil
		}})
		if refused == 0 {
			t.Error("a day was judged by what was learned on it")
		}
	})
	t.Run("faults", func(t *testing.T) { seeded(t, day, truth, factors) })
	t.Log(factors.Of(delivered.Class{Kind: "crane", Size: delivered.SizeOf(256 << 10)}))
	t.Log(factors.Of(delivered.Class{Kind: "curl", Size: delivered.SizeOf(256 << 10)}))
}

// sampled compares samples of a tenth of the log with the whole. Each flow says how far it may be off with 95 % confidence. So
// few flows of all samples may be off by more, and they must not say much more than they are off. Ireland does not count: a tenth
// of its ten large downloads is often none, and a sample cannot know of what it does not have.
func sampled(t *testing.T, day *recording, whole *account) {
	type flow struct{ region, store string }
	want := map[flow]float64{}
	for _, f := range whole.Flows {
		if f.Requests >= 1000 && f.Store != canonical {
			want[flow{f.Region, f.Store}] = f.Bytes
		}
	}
	const samples = 30
	flows, beyond, share := 0.0, 0.0, 0.0
	for seed := range uint64(samples) {
		for _, f := range sample(day.logs.only(proxyLog), seed).account(t, day.day, options{}).Flows {
			truth, counts := want[flow{f.Region, f.Store}]
			if !counts {
				continue
			}
			off := math.Abs(f.Bytes-truth) / f.Bytes
			flows++
			share += off / f.Error
			if off > f.Error {
				beyond++
			}
		}
	}
	share /= flows
	t.Logf("%.0f of %.0f flows are off by more than they say; on average they are off by %.2f of it", beyond, flows, share)
	// At 95 %, 5 % and 0.41 are expected. 17 % are one run of ten thousand.
	if len(want) != 4 || flows != samples*4 || beyond > 0.17*flows || share < 0.2 || share > 0.6 {
		t.Errorf("%.0f of %.0f flows of %d are off by more than they say; on average they are off by %.2f of it", beyond, flows, len(want), share)
	}
}

// sample returns about a tenth of the lines of the proxy's log as log.requests 0.1 writes them. Each seed has another sample.
func sample(l logs, seed uint64) logs {
	l = maps.Clone(l)
	var out strings.Builder
	rnd := rand.New(rand.NewPCG(3, seed))
	for line := range strings.Lines(l[proxyLog]) {
		if rnd.IntN(10) == 0 {
			out.WriteString(strings.Replace(line, `"weight":1,`, `"weight":10,`, 1))
		}
	}
	l[proxyLog] = out.String()
	return l
}

// counters returns the bytes of the proxy's metric by cell.
func (w *world) counters(t *testing.T) map[cell]float64 {
	t.Helper()
	out := map[cell]float64{}
	for _, store := range []string{storeS3, storeGCS, storeAzure, storeCDN} {
		for _, cloud := range []string{"aws", "gcp", "azure", ""} {
			n := w.proxy.Metric(t, "ociproxy_redirected_bytes_total", fmt.Sprintf("candidate=%q", store), fmt.Sprintf("{candidate=%[1]q,cloud=%[2]q", store, cloud))
			if n > 0 {
				out[cell{cloud: cloud, store: store}] = n
			}
		}
	}
	return out
}
