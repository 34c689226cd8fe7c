package focus

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tree writes files below a directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestExpand: directories and manifests as AWS and Azure write them; of several runs of a month only the last.
func TestExpand(t *testing.T) {
	dir := tree(t, map[string]string{
		"p/bill/data/BILLING_PERIOD=2026-10/bill-00001.csv.gz":      "",
		"p/bill/data/BILLING_PERIOD=2026-10/bill-00002.csv.gz":      "",
		"p/bill/metadata/BILLING_PERIOD=2026-10/bill-Manifest.json": `{"executionId":"x","dataFiles":["s3://bucket/p/bill/data/BILLING_PERIOD=2026-10/bill-00002.csv.gz","s3://bucket/p/bill/data/BILLING_PERIOD=2026-10/bill-00001.csv.gz"]}`,
		"p/lost-Manifest.json":  `{"dataFiles":["s3://bucket/lost-00001.parquet"]}`,
		"p/empty-Manifest.json": `{}`,
		"q/data/BILLING_PERIOD=2026-10/2026-11-01T00:00:00.000Z-aa/bill-00001.parquet": "",
		"q/data/BILLING_PERIOD=2026-10/2026-11-02T00:00:00.000Z-bb/bill-00001.parquet": "",
		"q/data/BILLING_PERIOD=2026-11/2026-11-02T00:00:00.000Z-bb/bill-00001.parquet": "",
		"azure/focus/20261001-20261031/9f/part_0_0001.csv":                             "",
		"azure/focus/20261001-20261031/9f/manifest.json":                               `{"runInfo":{"submittedTime":"2026-11-01T01:00:00Z"},"blobs":[{"blobName":"azure/focus/20261001-20261031/9f/part_0_0001.csv"}]}`,
		"azure/focus/20261001-20261031/1a/part_0_0001.csv":                             "",
		"azure/focus/20261001-20261031/1a/manifest.json":                               `{"runInfo":{"submittedTime":"2026-11-03T01:00:00Z"},"blobs":[{"blobName":"azure/focus/20261001-20261031/1a/part_0_0001.csv"}]}`,
		"none/readme.txt": "",
	})
	for _, test := range []struct{ name, want string }{
		{"p/bill/data", "bill-00001.csv.gz bill-00002.csv.gz"},
		{"p/bill/metadata/BILLING_PERIOD=2026-10/bill-Manifest.json", "bill-00002.csv.gz bill-00001.csv.gz"},
		{"p/lost-Manifest.json", "error: the file lost-00001.parquet that it lists is not there"},
		{"p/empty-Manifest.json", "error: it lists no data files"},
		{"q", "-bill-00001.parquet bill-00001.parquet bill-00001.parquet"},
		{"azure", "part_0_0001.csv -part_0_0001.csv"},
		{"azure/focus/20261001-20261031/9f/manifest.json", "part_0_0001.csv"},
		{"none", "error: it has no files .csv"},
		{"p/bill/data/*/*.gz", "bill-00001.csv.gz bill-00002.csv.gz"},
		{"p/*.nothing", "error: no file fits"},
		{"nowhere", "error: no such file"},
	} {
		got, err := expand([]string{filepath.Join(dir, filepath.FromSlash(test.name))})
		var words []string
		for _, s := range got {
			left := ""
			if s.skipped != "" {
				left = "-"
			}
			words = append(words, left+filepath.Base(s.name))
		}
		text := strings.Join(words, " ")
		if want, ok := strings.CutPrefix(test.want, "error: "); ok {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", test.name, err, want)
			}
		} else if err != nil || text != test.want {
			t.Errorf("%s: %s, %v; want %s", test.name, text, err, test.want)
		}
	}
}

// TestOverlap: exports that overlap count once, and the result says what was left out.
func TestOverlap(t *testing.T) {
	day := func(s *sample, n int) {
		start := time.Date(2026, 10, n, 0, 0, 0, 0, time.UTC)
		s.row(costs(map[string]string{"ResourceId": "layers-use1", "RegionId": "us-east-1", "x_UsageType": "DataTransfer-Out-Bytes",
			"ConsumedQuantity": fmt.Sprint(n), "ConsumedUnit": "GB", "ChargePeriodStart": start.Format(time.RFC3339),
			"ChargePeriodEnd": start.AddDate(0, 0, 1).Format(time.RFC3339)}, "1"))
	}
	first, second := shape("aws", "1.2"), shape("aws", "1.2")
	for n := 1; n <= 20; n++ {
		day(first, n)
	}
	for n := 15; n <= 31; n++ {
		day(second, n)
	}
	dir := tree(t, map[string]string{"1.csv": string(first.csv()), "2.csv": string(second.csv()), "3.csv": string(second.csv())})
	c := read(t, Options{}, dir, filepath.Join(dir, "1.csv")).Compare(nil, october, november)
	if l := lineOf(t, c, "s3-use1", Internet); l.Bill.Rows != 31 || l.Bill.Quantity != 496<<30 || l.Open {
		t.Errorf("line %+v", l)
	}
	var left []string
	for _, f := range c.Files {
		left = append(left, filepath.Base(f.Name)+" "+f.Skipped)
	}
	if d := cmp.Diff([]string{"1.csv ", "2.csv ", "3.csv its content is that of " + filepath.Join(dir, "2.csv"), "1.csv named twice"}, left); d != "" {
		t.Error(d)
	}
	if len(c.Faults) != 1 || c.Faults[0].Rows != 6 || !strings.Contains(c.Faults[0].What, "an earlier file has too") {
		t.Errorf("faults %+v", c.Faults)
	}
}

// TestOpenMonths: a month is open while its data ends early, and until its bill can no longer change.
func TestOpenMonths(t *testing.T) {
	for _, test := range []struct {
		name, end, invoice string
		now                time.Time
		open               string
	}{
		{"closed", "2026-11-01T00:00:00Z", "", later, ""},
		{"cut", "2026-10-20T00:00:00Z", "", later, "the data ends on 2026-10-20"},
		{"fresh", "2026-11-01T00:00:00Z", "", time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC), "the bill may change until 2026-11-15"},
		{"invoiced", "2026-11-01T00:00:00Z", "INV-1", time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC), ""},
	} {
		s := shape("aws", "1.2").row(costs(map[string]string{"ResourceId": "layers-use1", "x_UsageType": "DataTransfer-Out-Bytes", "ConsumedQuantity": "1",
			"ConsumedUnit": "GB", "ChargePeriodEnd": test.end, "InvoiceId": test.invoice}, "1"))
		c := read(t, Options{Now: test.now}, filed(t, "f.csv", s.csv())).Compare(nil, october, november)
		if p := c.Periods[0]; p.Open != (test.open != "") || p.Why != test.open {
			t.Errorf("%s: %+v", test.name, p)
		}
	}
}

// TestGoogleMonths: Google's billing period begins at midnight in Los Angeles, and is that month.
func TestGoogleMonths(t *testing.T) {
	s := shape("gcp", "1.0")
	s.with["BillingPeriodStart"], s.with["BillingPeriodEnd"] = "2026-10-01 07:00:00 UTC", "2026-10-31 07:00:00 UTC"
	s.with["ChargePeriodStart"], s.with["ChargePeriodEnd"] = "2026-11-01 06:00:00 UTC", "2026-11-01 07:00:00 UTC"
	s.gcs("layers-gcs", "europe-west1", "Download APAC", "1", "gibibyte", "0.12")
	c := read(t, Options{}, filed(t, "f.csv", s.csv())).Compare(nil, october, november)
	if l := lineOf(t, c, "gcs", Internet); l.Month != october || l.Open {
		t.Errorf("line %+v", l)
	}
}
