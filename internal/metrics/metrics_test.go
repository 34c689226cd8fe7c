package metrics

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ociproxy/internal/oci"
)

// series returns the number of series in a scrape.
func series(t *testing.T, m *Metrics) int {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		for _, metric := range f.Metric {
			n++
			if h := metric.Histogram; h != nil {
				n += len(h.Bucket) + 2
			}
		}
	}
	return n
}

// An instance with the largest configuration stays below 5 000 series, whatever clients do.
func TestSeriesAreBounded(t *testing.T) {
	for _, candidates := range []int{2, 60, 256} {
		t.Run(fmt.Sprint(candidates), func(t *testing.T) { testSeries(t, candidates) })
	}
}

func testSeries(t *testing.T, candidates int) {
	m := New("test")
	m.SetCandidates(candidates)
	for _, kind := range []string{"base", "blob", "manifest", "tag", "referrers", "tags", "page", "probe", "invalid"} {
		m.Requests(kind)
	}
	for c := range candidates {
		name := fmt.Sprint("candidate-", c)
		for _, result := range []string{"held", "absent", "failed", "shed"} {
			m.Checks.WithLabelValues(name, result)
		}
		if c%2 == 0 { // an upstream
			m.Limited.WithLabelValues(name)
			for _, result := range []string{"ok", "not-found", "failed"} {
				m.Relays.WithLabelValues(name, result)
			}
		} else { // a store with an inventory
			m.Retries.WithLabelValues(name)
			m.ObserveInventory(name, "current", 1, 1, false)
		}
		for _, result := range []string{"ok", "failed", "neutral", "discarded"} {
			m.Probes.WithLabelValues(name, result)
		}
		m.Usable.WithLabelValues(name)
		m.Returning.WithLabelValues(name)
		for region := range 300 {
			for _, reason := range []string{"nearest", "absent", "unhealthy"} {
				m.Flow(FlowKey{"aws", fmt.Sprint(region), name, reason}).Count(1, 1)
			}
		}
	}
	for n := range 300 {
		m.NameLimited(fmt.Sprint("name-", n, ".example.org")).Inc()
	}
	for o := range MaxOverrides {
		m.ObserveOverride(fmt.Sprint("override-", o), "off", "candidate-1", strings.Repeat("é", 500), time.Unix(1, 0), true)
	}
	for _, result := range TagResults {
		m.DeniedTags.WithLabelValues(result)
	}
	for f := range 12 {
		m.ObserveFeed(fmt.Sprint("feed-", f), 1, 1, 0, false)
		m.ObserveSeed(fmt.Sprint("feed-", f), time.Unix(1, 0))
	}
	if n := series(t, m); n > 5000 {
		t.Errorf("%d series, want at most 5000", n)
	}
}

func TestFlowsBeyondTheBoundAreCountedTogether(t *testing.T) {
	m := New("test")
	for i := range m.maxFlows + 500 {
		m.Flow(FlowKey{"aws", fmt.Sprint(i), "s3", "nearest"}).Count(10, 2)
	}
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total, other := 0.0, 0.0
	for _, f := range families {
		if f.GetName() != "ociproxy_redirects_total" {
			continue
		}
		for _, metric := range f.Metric {
			total += metric.Counter.GetValue()
			if strings.Contains(metric.String(), `"other"`) {
				other += metric.Counter.GetValue()
			}
		}
	}
	if total != float64(m.maxFlows)+500 || other != 500 {
		t.Errorf("total %v, other %v; want %d and 500", total, other, m.maxFlows+500)
	}
}

func TestARemovedCandidateIsForgotten(t *testing.T) {
	m := New("test")
	m.Flow(FlowKey{"aws", "x", "gone", "nearest"}).Count(1, 1)
	m.Checks.WithLabelValues("gone", "held").Inc()
	m.Usable.WithLabelValues("gone").Set(1)
	m.ForgetCandidate("gone")
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.Contains(f.String(), `"gone"`) {
			t.Errorf("%s still has it", f.GetName())
		}
	}
	if len(m.flows) != 0 {
		t.Error("the flow still takes room")
	}
}

// Names beyond the bound are counted together. When a name is removed, another name gets its room.
func TestNames(t *testing.T) {
	m := New("test")
	for n := range maxNames + 5 {
		m.NameLimited(fmt.Sprint(n)).Inc()
	}
	if n := testutil.CollectAndCount(m.nameLimited); n != maxNames+1 {
		t.Errorf("%d series, want %d", n, maxNames+1)
	}
	if got := testutil.ToFloat64(m.NameLimited("another")); got != 5 {
		t.Errorf("%v of all others, want 5", got)
	}
	m.ForgetName("0")
	m.NameLimited("another").Inc()
	if got := testutil.ToFloat64(m.nameLimited.WithLabelValues("another")); got != 1 {
		t.Errorf("%v of the new one, want 1", got)
	}
}

func TestFlowTableResolvesOnce(t *testing.T) {
	m := New("test")
	calls := 0
	table := m.FlowTable(2, 3, 4, func(p, c, r int) FlowKey {
		calls++
		return FlowKey{"aws", fmt.Sprint(p), fmt.Sprint(c), fmt.Sprint(r)}
	})
	for range 3 {
		table.At(1, 2, 3).Count(1_000_000_000, 9)
	}
	if calls != 1 {
		t.Errorf("labels resolved %d times", calls)
	}
	if n := testing.AllocsPerRun(100, func() { table.At(1, 2, 3).Count(1, 9) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCodeIndex(t *testing.T) {
	for i, code := range Codes {
		if CodeIndex(code) != i {
			t.Errorf("CodeIndex(%d) = %d", code, CodeIndex(code))
		}
	}
	if Codes[CodeIndex(418)] != 500 {
		t.Error("an unknown status is not counted as 500")
	}
}

// Impossible sizes must neither decrease a counter nor stop it.
func TestImpossibleSizes(t *testing.T) {
	f := New("test").Flow(FlowKey{Candidate: "s"})
	was := 0.0
	for _, size := range []int64{1000, 1 << 62, 1 << 62, 1 << 62, 1 << 62, math.MaxInt64, math.MinInt64, -1, 0, oci.MaxBlob + 1, 1000} {
		f.Count(size, 9)
		now := testutil.ToFloat64(f.bytes)
		if now < was || now > 2000 {
			t.Errorf("after %d bytes the counter went from %v to %v", size, was, now)
		}
		was = now
	}
	if n := testutil.ToFloat64(f.redirects); was != 2000 || n != 11 {
		t.Errorf("%v bytes of %v redirects, want 2000 of 11", was, n)
	}
}
