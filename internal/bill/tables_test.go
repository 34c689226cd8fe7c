package bill

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/price"
)

func billItems() []string { return config.BillItem("").Values() }

// Each case breaks one table. The error must name the fault and the table.
func TestSpoiledTables(t *testing.T) {
	if _, err := readTables(files.ReadFile); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ file, old, new, want string }{
		{"sources", "general,2026-11", "general,", "a date"},
		{"sources", "id,date", "date,id", "want columns"},
		{"prices", "aws,storage,us-east-1,,GiB-month,2.3", "aws,storage,us-east-1,,GiB,2.3", "billed by byte-months"},
		{"prices", "aws,storage,us-east-1,,GiB-month,2.3", "aws,storage,us-east-1,,Gib-month,2.3", "unknown unit"},
		{"prices", "aws,storage,us-east-1", "aws,stored,us-east-1", "unknown item"},
		{"prices", "aws,storage,us-east-1", "aws,storage,us-east-2", "twice"},
		{"prices", "450,sourced,r2-docs", "450,sure,r2-docs", "confidence"},
		{"prices", "450,sourced,r2-docs", "450,sourced,r3-docs", "unknown source"},
		{"prices", "450,sourced,r2-docs", "450,sourced,general", "no source that can be read"},
		{"prices", "450,sourced,r2-docs", "x,sourced,r2-docs", "no price"},
		{"scopes", "aws,internet,source,payer", "aws,internet,region,payer", "want source"},
		{"scopes", "aws,internet,source,payer", "aws,internet,source,owner", "want payer"},
		{"free", "aws,internet,100GiB", "aws,internet,100", "not counted in requests"},
		{"free", "aws,internet,100GiB", "aws,internet,100Gib", "unknown unit"},
		{"free", "aws,internet,100GiB", "aws,egress,100GiB", "unknown item"},
		{"free", "aws,internet,100GiB", "aws,,100GiB", "no item"},
		{"free", "100GiB,before", "100GiB,after", "before or within"},
		{"terms", "wasabi,90", "wasabi,ninety", "days"},
	} {
		t.Run(tc.file+" "+tc.want, func(t *testing.T) {
			hit := false
			_, err := readTables(func(name string) ([]byte, error) {
				body, err := files.ReadFile(name)
				if name == "data/"+tc.file+".csv" {
					hit = bytes.Contains(body, []byte(tc.old))
					body = bytes.Replace(body, []byte(tc.old), []byte(tc.new), 1)
				}
				return body, err
			})
			if !hit {
				t.Fatalf("%s.csv has no %q to spoil", tc.file, tc.old)
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.file+".csv") {
				t.Errorf("error %v, want one of %s.csv with %q", err, tc.file, tc.want)
			}
		})
	}
}

// TestEveryStoreHasAPrice: each cloud and CDN that a store can be of has a price for storage and requests, in each region
// that is on the map, and every estimate says why.
func TestEveryStoreHasAPrice(t *testing.T) {
	tables, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range place.Embedded().Sites() {
		for _, item := range []string{Stored, Noncurrent, LogStorage, Read, Write} {
			if _, ok := tables.find(Meter{Provider: s.Cloud, Item: item, From: s.Region}); !ok {
				t.Errorf("%s: no price for %s", s, item)
			}
		}
	}
	for _, cdn := range place.CDNs() {
		_, requests := tables.cells[cellKey{cdn, CDNRequests, "", ""}]
		for k := range tables.cells {
			requests = requests || k.provider == cdn && (k.item == CDNRequests || k.item == Read)
		}
		if cdn != "other" && !requests {
			t.Errorf("%s: no price for requests", cdn)
		}
	}
	for k, c := range tables.cells {
		if c.ladder.Tiers[0].Estimate && c.note == "" && (c.source.what == tables.sources["general"].what || c.source.what == tables.sources["rule"].what) {
			t.Logf("%+v is an estimate without a reason", k)
			if k.item != Read && k.item != Write && k.item != Stored && k.item != CDNRequests {
				t.Fail()
			}
		}
	}
}

// TestOrigin compares the tables with the list that they were made from.
func TestOrigin(t *testing.T) {
	text, err := os.ReadFile("../../../shared/data/prices.json")
	if err != nil {
		if os.Getenv("CI") != "" || os.Getenv("OCIPROXY_REQUIRE_DATA") == "1" {
			t.Fatalf("the data is needed here: %v", err)
		}
		t.Skipf("SKIPPED, nothing was compared: %v", err)
	}
	var doc struct {
		AWS struct {
			S3 map[string]struct {
				USD        float64 `json:"storage_usd_per_gb_month"`
				Confidence string  `json:"storage_confidence"`
			}
			Requests struct {
				Read map[string]json.RawMessage `json:"get_head_usd_per_1000"`
			} `json:"s3_requests"`
		}
		GCP struct {
			Storage map[string]json.RawMessage `json:"gcs_storage_usd_per_gb_month"`
			Ops     struct {
				A float64 `json:"class_a_usd_per_1000"`
				B float64 `json:"class_b_usd_per_1000"`
			} `json:"gcs_ops"`
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	tables, _ := embedded()
	check := func(provider, item, region string, unit price.Unit, usd float64) {
		t.Helper()
		c, ok := tables.find(Meter{Provider: provider, Item: item, From: region})
		if !ok || c.ladder.Unit != unit || math.Abs(c.ladder.Tiers[0].Cents-usd*100) > 1e-9 {
			t.Errorf("%s %s %s: %+v, want %v per %s", provider, item, region, c.ladder, usd*100, unit)
		}
	}
	for region, s := range doc.AWS.S3 {
		check("aws", Stored, region, price.GiBMonth, s.USD)
		if c, _ := tables.find(Meter{Provider: "aws", Item: Stored, From: region}); c.ladder.Tiers[0].Estimate != (s.Confidence == "estimate") {
			t.Errorf("aws storage %s: want %s", region, s.Confidence)
		}
	}
	for region, raw := range doc.GCP.Storage {
		var usd float64
		if json.Unmarshal(raw, &usd) == nil {
			check("gcp", Stored, region, price.GiBMonth, usd)
		}
	}
	for region, raw := range doc.AWS.Requests.Read {
		var usd float64
		if json.Unmarshal(raw, &usd) == nil {
			check("aws", Read, region, price.Requests1k, usd)
		}
	}
	check("gcp", Write, "us-east1", price.Requests1k, doc.GCP.Ops.A)
	check("gcp", Read, "us-east1", price.Requests1k, doc.GCP.Ops.B)
}
