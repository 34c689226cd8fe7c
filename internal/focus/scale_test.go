package focus

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

// stream gives n rows of hourly cost data of many buckets, one of them ours, without having them in memory.
type stream struct {
	s       *sample
	n, row  int
	pending bytes.Buffer
}

func (r *stream) Read(p []byte) (int, error) {
	for r.pending.Len() < len(p) && r.row < r.n {
		r.s.rows = r.s.rows[:0]
		for range min(100, r.n-r.row) {
			start := time.Date(2026, 10, 1, r.row%744, 0, 0, 0, time.UTC)
			bucket, usageType := fmt.Sprintf("bucket-%d", r.row%997), "DataTransfer-Out-Bytes"
			if r.row%10 == 0 {
				bucket = "layers-use1"
			}
			r.s.row(costs(map[string]string{"ResourceId": bucket, "RegionId": "us-east-1", "x_UsageType": usageType, "ConsumedQuantity": fmt.Sprint(r.row),
				"ConsumedUnit": "GB", "ChargePeriodStart": start.Format(time.RFC3339), "ChargePeriodEnd": start.Add(time.Hour).Format(time.RFC3339)}, "0.01"))
			r.row++
		}
		text := r.s.csv()
		if r.row > 100 {
			_, text, _ = bytes.Cut(text, []byte("\n"))
		}
		r.pending.Write(text)
	}
	if r.pending.Len() == 0 {
		return 0, io.EOF
	}
	return r.pending.Read(p)
}

// TestMemory: the memory does not grow with the rows, and many small amounts add up to the cent.
func TestMemory(t *testing.T) {
	const rows = 20_000
	var peak uint64
	opt := Options{Now: later, Stdin: &stream{s: shape("aws", "1.2"), n: rows}, Progress: func(string, int64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
	}}
	b, err := Read(t.Context(), world(t), []string{"-"}, opt)
	if err != nil {
		t.Fatal(err)
	}
	c := b.Compare(nil, october, november)
	if l := lineOf(t, c, "s3-use1", Internet); l.Bill.Rows != rows/10 || fmt.Sprintf("%.9f", l.Bill.Effective) != "20.000000000" {
		t.Errorf("line %+v", l.Bill)
	}
	if len(c.Foreign) != 997 {
		t.Errorf("%d other buckets", len(c.Foreign))
	}
	if peak > 64<<20 {
		t.Errorf("%d MiB of heap", peak>>20)
	}
	var text strings.Builder
	if err := c.WriteText(&text); err != nil || !strings.Contains(text.String(), "and 977 more") {
		t.Errorf("%v: %s", err, text.String())
	}
}

// TestBounds: what a bill can make grow has a bound, and the result says that it was reached.
func TestBounds(t *testing.T) {
	b := newBill(world(t), Options{Now: later})
	var r Row
	for i := range maxGroups + 3 {
		r.Effective = 1
		b.foreign.add(foreignKey{"aws", fmt.Sprint(i), "x"}, ownForeign, &r, 0)
		b.unknown.add(unknownKey{"aws", "s3", fmt.Sprint(i), "GB", "s3-use1"}, ownUnknown, &r, 0)
		b.fault(fmt.Sprint("fault ", i), 0, "f", 1)
	}
	c := b.Compare(nil, october, november)
	if len(c.Foreign) != maxGroups || len(c.Unknown) != maxGroups || len(c.Faults) != maxFaults+1 || len(c.Notes) != 2 || !strings.Contains(c.Notes[0], "3 rows with $3.00 are not listed") {
		t.Errorf("%d foreign, %d unknown, %d faults, %q", len(c.Foreign), len(c.Unknown), len(c.Faults), c.Notes)
	}
	k := classes{map[classKey]*Meter{}}
	for i := range maxClasses - 5 { // what of() would have remembered, one search each
		k.known[classKey{meter: fmt.Sprint("known ", i)}] = nil
	}
	for i := range 10 {
		k.of(&Row{Provider: "aws", Service: "s3", Meters: []string{fmt.Sprint(i)}})
	}
	if len(k.known) != maxClasses {
		t.Errorf("%d meters are remembered", len(k.known))
	}
}

// BenchmarkRead reads a million rows, as a month of a large account has.
func BenchmarkRead(b *testing.B) {
	for b.Loop() {
		in := &stream{s: shape("aws", "1.2"), n: 1_000_000}
		if _, err := Read(b.Context(), world(b), []string{"-"}, Options{Now: later, Stdin: in}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1e6*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
