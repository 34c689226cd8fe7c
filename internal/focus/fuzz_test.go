package focus

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"ociproxy/internal/price"
)

var errInvariant = errors.New("a row that must not be")

// drain reads a table as a bill does, and checks what must hold of any row.
func drain(t table) error {
	p := &parser{layout: t.layout(), times: map[string]time.Time{}}
	var row Row
	for {
		get, _, err := t.next()
		var bad *skipped
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := p.row(&row, get); err != nil {
			continue
		}
		for _, n := range []float64{row.Billed, row.Effective, row.List, row.Contracted, row.Consumed.N, row.Priced.N} {
			if !(math.Abs(n) <= maxAmount) {
				return errInvariant
			}
		}
		if row.Start.Year() < 1 || row.Category == "" {
			return errInvariant
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add(shape("aws", "1.2").s3("b", "us-east-1", "DataTransfer-Out-Bytes", "1", "GB", "1").csv())
	f.Add(shape("gcp", "1.0").gcs("b", "us", "Download", "1", "bytes", "1").csv())
	f.Add([]byte("BilledCost,\"x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := newCSV(bytes.NewReader(data))
		if err != nil {
			return
		}
		if err := drain(table); errors.Is(err, errInvariant) {
			t.Error(err)
		}
	})
}

// FuzzParquet tries some hundred inputs a second: each opens a file, with a schema to decode.
func FuzzParquet(f *testing.F) {
	f.Add(parquetOf(f, awsRows(3)))
	f.Add(parquetOf(f, googleRows(f)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		if err := readParquet(data); errors.Is(err, errInvariant) {
			t.Error(err)
		}
	})
}

func FuzzUnit(f *testing.F) {
	for _, s := range []string{"GB", "1 GB/Month", "GiBy.mo", "byte-seconds", "10K", "1M requests", "Requests", "100 GB", "1,000 Count"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, ok := parseUnit(s, price.GiB)
		if ok && (!(m.size > 0) || math.IsInf(m.size, 0) || m.base == "") {
			t.Errorf("%q: %+v", s, m)
		}
	})
}
