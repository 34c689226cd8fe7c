package focus

import (
	"bytes"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"ociproxy/internal/parquetfile/parquetfiletest"
)

// awsRow has the types of AWS's exports: doubles, milliseconds, maps.
type awsRow struct {
	BilledCost         float64           `parquet:"BilledCost"`
	EffectiveCost      float64           `parquet:"EffectiveCost"`
	ListCost           *float64          `parquet:"ListCost,optional"`
	ContractedCost     float64           `parquet:"ContractedCost"`
	BillingCurrency    string            `parquet:"BillingCurrency,dict"`
	BillingAccountId   string            `parquet:"BillingAccountId,dict"`
	BillingPeriodStart time.Time         `parquet:"BillingPeriodStart,timestamp(millisecond)"`
	ChargePeriodStart  time.Time         `parquet:"ChargePeriodStart,timestamp(millisecond)"`
	ChargePeriodEnd    time.Time         `parquet:"ChargePeriodEnd,timestamp(millisecond)"`
	ChargeCategory     string            `parquet:"ChargeCategory,dict"`
	ChargeClass        *string           `parquet:"ChargeClass,optional"`
	ConsumedQuantity   *float64          `parquet:"ConsumedQuantity,optional"`
	ConsumedUnit       *string           `parquet:"ConsumedUnit,optional"`
	ProviderName       string            `parquet:"ProviderName,dict"`
	ResourceId         *string           `parquet:"ResourceId,optional"`
	RegionId           string            `parquet:"RegionId"`
	ServiceName        string            `parquet:"ServiceName"`
	SkuPriceDetails    map[string]string `parquet:"SkuPriceDetails"`
	Tags               map[string]string `parquet:"Tags"`
	UsageType          string            `parquet:"x_UsageType,dict"`
}

// googleRow has the types of BigQuery's exports: NUMERIC as a decimal of 16 bytes, TIMESTAMP in microseconds, lists.
type googleRow struct {
	BilledCost         [16]byte `parquet:"BilledCost,decimal(9:38)"`
	EffectiveCost      [16]byte `parquet:"EffectiveCost,decimal(9:38)"`
	ListCost           [16]byte `parquet:"ListCost,decimal(9:38)"`
	ContractedCost     int64    `parquet:"ContractedCost,decimal(4:18)"`
	BillingCurrency    string   `parquet:"BillingCurrency"`
	BillingPeriodStart int64    `parquet:"BillingPeriodStart,timestamp(microsecond)"`
	ChargePeriodStart  int64    `parquet:"ChargePeriodStart,timestamp(microsecond)"`
	ChargePeriodEnd    int64    `parquet:"ChargePeriodEnd,timestamp(microsecond)"`
	ChargeCategory     string   `parquet:"ChargeCategory"`
	ChargeClass        *string  `parquet:"ChargeClass,optional"`
	ChargeDescription  string   `parquet:"ChargeDescription"`
	ConsumedQuantity   [16]byte `parquet:"ConsumedQuantity,decimal(9:38)"`
	ConsumedUnit       string   `parquet:"ConsumedUnit"`
	ProviderName       string   `parquet:"ProviderName"`
	ResourceId         string   `parquet:"ResourceId"`
	RegionId           string   `parquet:"RegionId"`
	ServiceName        string   `parquet:"ServiceName"`
	CostType           string   `parquet:"x_CostType"`
	Credits            []struct {
		Name   string
		Amount float64
	} `parquet:"x_Credits"`
}

func numeric(t testing.TB, s string) (out [16]byte) {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatal(s)
	}
	n := new(big.Int).Div(new(big.Int).Mul(r.Num(), big.NewInt(1e9)), r.Denom())
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	n.FillBytes(out[:])
	return out
}

func parquetOf[T any](t testing.TB, rows []T, opt ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, append(opt, parquet.MaxRowsPerRowGroup(400))...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func awsRows(n int) []awsRow {
	var out []awsRow
	start := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	bucket, quantity, unit, list, null := "layers-use1", 1.0, "GB", 0.09, (*string)(nil)
	for i := range n {
		r := awsRow{BilledCost: 0.045, EffectiveCost: 0.045, ListCost: &list, ContractedCost: 0.045, BillingCurrency: "USD", BillingAccountId: "payer",
			BillingPeriodStart: start, ChargePeriodStart: start.Add(time.Duration(i%744) * time.Hour), ChargePeriodEnd: start.Add(time.Duration(i%744+1) * time.Hour),
			ChargeCategory: "Usage", ChargeClass: null, ConsumedQuantity: &quantity, ConsumedUnit: &unit, ProviderName: "AWS", ResourceId: &bucket,
			RegionId: "us-east-1", ServiceName: "Amazon Simple Storage Service", UsageType: "DataTransfer-Out-Bytes", Tags: map[string]string{"a": "b", "c": "d"}}
		if i%10 == 9 {
			r.ResourceId, r.ListCost = nil, nil
			r.UsageType = "EUC1-DataTransfer-Out-Bytes"
			r.RegionId = "eu-central-1"
		}
		out = append(out, r)
	}
	return out
}

func googleRows(t testing.TB) []googleRow {
	start := time.Date(2026, 10, 1, 7, 0, 0, 0, time.UTC).UnixMicro()
	row := googleRow{BilledCost: numeric(t, "-12.345678901"), EffectiveCost: numeric(t, "12.345678901"), ListCost: numeric(t, "122.88"), ContractedCost: 1228800,
		BillingCurrency: "USD", BillingPeriodStart: start, ChargePeriodStart: start, ChargePeriodEnd: start + 31*86400e6, ChargeCategory: "usage",
		ChargeDescription: "Download APAC", ConsumedQuantity: numeric(t, "1099511627776"), ConsumedUnit: "bytes", ProviderName: "Google Cloud",
		ResourceId: "//storage.googleapis.com/projects/_/buckets/layers-gcs", RegionId: "europe-west1", ServiceName: "Cloud Storage", CostType: "regular"}
	row.Credits = append(row.Credits, struct {
		Name   string
		Amount float64
	}{"free", -1})
	return []googleRow{row}
}

// TestParquet: the types of AWS's and of BigQuery's exports, with pages and row groups that end in between.
func TestParquet(t *testing.T) {
	aws := parquetOf(t, awsRows(1000), parquet.PageBufferSize(512), parquet.Compression(&parquet.Snappy))
	google := parquetOf(t, googleRows(t))
	c := read(t, Options{}, filed(t, "aws.snappy.parquet", aws), filed(t, "google.parquet", google)).Compare(nil, october, november)
	if f := c.Files[0]; f.Format != "parquet" || f.Provider != "aws" || f.Version != "1.1" || f.Rows != 1000 || f.Picked != 1000 {
		t.Errorf("file %+v", f)
	}
	if got, want := lineOf(t, c, "s3-use1", Internet).Bill, (Amounts{900, 900 << 30, 81, 40.5, 40.5, 40.5}); !alike(got, want) {
		t.Errorf("s3-use1 %+v", got)
	}
	if got, want := lineOf(t, c, "s3-euc1", Internet).Bill, (Amounts{100, 100 << 30, 0, 4.5, 4.5, 4.5}); !alike(got, want) {
		t.Errorf("s3-euc1 %+v", got)
	}
	if got, want := lineOf(t, c, "gcs", Internet).Bill, (Amounts{1, 1 << 40, 122.88, 122.88, 12.345678901, -12.345678901}); !alike(got, want) {
		t.Errorf("gcs %+v", got)
	}
}

func alike(a, b Amounts) bool {
	return a.Rows == b.Rows && near(a.Quantity, b.Quantity, 1e-12) && near(a.List, b.List, 1e-12) && near(a.Contracted, b.Contracted, 1e-12) &&
		near(a.Effective, b.Effective, 1e-12) && near(a.Billed, b.Billed, 1e-12)
}

// TestDamagedParquet: a damaged file is an error, wherever it is damaged; it is never read silently as something else.
func TestDamagedParquet(t *testing.T) {
	whole := parquetOf(t, awsRows(50), parquet.Compression(&parquet.Snappy))
	for i := range whole {
		if i%61 != 0 {
			continue
		}
		data := bytes.Clone(whole)
		data[i] ^= 0x5a
		_ = readParquet(data) // an error or not, but no panic
	}
	for _, n := range []int{4, 11, 12, 100, len(whole) / 2, len(whole) - 1} {
		if err := readParquet(whole[:n]); err == nil || !strings.Contains(err.Error(), "truncated") {
			t.Errorf("%d bytes of it: %v", n, err)
		}
	}
}

// TestHostileParquet: a page that says it has 2 GiB is refused before memory is taken for it.
func TestHostileParquet(t *testing.T) {
	data := parquetOf(t, awsRows(50))
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	c := &f.Metadata().RowGroups[0].Columns[0].MetaData
	parquetfiletest.Hostile(data, c)
	if err := readParquet(data); err == nil || !strings.Contains(err.Error(), "a page of 2147483647 bytes") {
		t.Error(err)
	}
}

func readParquet(data []byte) error {
	t, err := newParquet(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	return drain(t)
}
