package focus

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/bill"
	"ociproxy/internal/config"
	"ociproxy/internal/price"
	"ociproxy/internal/traffic"
)

var (
	october  = MonthOf(time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC))
	november = MonthOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
)

// TestKnownBills: a bill of each provider, to the cent and to the byte, in every version.
func TestKnownBills(t *testing.T) {
	for _, version := range []string{"1.0", "1.1", "1.2", "1.3", "1.4"} {
		t.Run(version, func(t *testing.T) {
			// 10,240 GB at $0.09 and 2,048 GB at $0.085: the first two steps of AWS's ladder, as two rows.
			aws := shape("aws", version).
				s3("layers-use1", "us-east-1", "DataTransfer-Out-Bytes", "10240", "GB", "921.6").
				s3("layers-use1", "us-east-1", "DataTransfer-Out-Bytes", "2048", "GB", "174.08").
				s3("arn:aws:s3:::layers-euc1", "eu-central-1", "EUC1-USE1-AWS-Out-Bytes", "100", "GB", "2").
				s3("layers-use1", "us-east-1", "Requests-Tier2", "2500000", "Requests", "1").
				s3("layers-use1", "us-east-1", "Requests-Tier1", "1000", "Requests", "0.005").
				s3("layers-use1", "us-east-1", "TimedStorage-ByteHrs", "1024", "GB-Mo", "23.552")
			azure := shape("azure", version).
				blob("LayersAcct", "westeurope", "Standard Data Transfer Out", "100", "GB", "8.7").
				blob("layersacct", "westeurope", "Hot LRS Data Stored", "500", "1 GB/Month", "9.8").
				blob("layersacct", "westeurope", "Hot Read Operations", "12", "10K", "0.06")
			gcp := shape("gcp", version).
				gcs("layers-gcs", "europe-west1", "Download Worldwide Destinations (excluding Asia & Australia)", "1099511627776", "bytes", "122.88").
				gcs("layers-gcs", "europe-west1", "Standard Storage Belgium", fmt.Sprint(float64(31*86400)*float64(price.GiB.Size())*10), "byte-seconds", "0.2").
				gcs("layers-gcs", "europe-west1", "Regional Standard Class B Operations", "1000000", "requests", "0.4")
			b := read(t, Options{}, filed(t, "aws.csv", aws.csv()), filed(t, "azure.csv.gz", zipped(t, azure.csv())), filed(t, "gcp.csv", gcp.csv()))
			c := b.Compare([]Ours{
				{Month: october, Store: "blob-a", Kind: Internet, Source: traffic.FromStore, Side: Side{Quantity: 3}},
				{Month: october, Store: "blob-b", Kind: Internet, Source: traffic.FromStore, Side: Side{Quantity: 1}},
			}, october, november)
			for _, f := range c.Files {
				if f.Version != version || f.Rows != f.Picked {
					t.Errorf("%+v, want version %s and all rows", f, version)
				}
			}
			want := map[string]string{
				"s3-use1 internet":      "13194139533312 1095.68",
				"s3-euc1 same-cloud":    "107374182400 2.00",
				"s3-use1 requests-read": "2500000 1.00", "s3-use1 requests-write": "1000 0.01",
				"s3-use1 storage": "1099511627776 23.55",
				"blob-a internet": "80530636800 6.53", "blob-b internet": "26843545600 2.18",
				"blob-a storage": "268435456000 4.90", "blob-b storage": "268435456000 4.90",
				"blob-a requests-read": "60000 0.03", "blob-b requests-read": "60000 0.03",
				"gcs internet": "1099511627776 122.88", "gcs storage": "10737418240 0.20", "gcs requests-read": "1000000 0.40",
			}
			got := map[string]string{}
			for _, l := range c.Lines {
				got[l.Store+" "+string(l.Kind)] = fmt.Sprintf("%.0f %.2f", l.Bill.Quantity, l.Bill.List+1e-9)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if len(c.Unknown)+len(c.Foreign)+len(c.Faults)+len(c.Apart) > 0 {
				t.Errorf("unknown %v, foreign %v, faults %v, apart %v", c.Unknown, c.Foreign, c.Faults, c.Apart)
			}
		})
	}
}

// ours is what the logs and the proxy counted of a store's traffic.
func counted(store string, kind Kind, logs, estimate Side) []Ours {
	return []Ours{
		{Month: october, Store: store, Kind: kind, Source: traffic.FromStore, Side: logs},
		{Month: october, Store: store, Kind: kind, Source: traffic.FromProxy, Side: estimate},
	}
}

// TestReasons: each fault that was put into a bill or into the logs is found.
func TestReasons(t *testing.T) {
	const gib = 1 << 30
	right := Side{Quantity: 1000 * gib, List: 90, USD: 90}
	times := func(f float64) Side { return Side{right.Quantity * f, right.List * f, right.USD * f} }
	for _, test := range []struct {
		name           string
		row            func(*sample)
		logs, estimate Side
		want           string
	}{
		{"agrees", nil, right, right, ""},
		{"the bill is in GB, the prices per GiB", func(s *sample) { s.s3("layers-use1", "us-east-1", "DataTransfer-Out-Bytes", "1073.741824", "GB", "90") }, right, right, "units"},
		{"we count in GB what the bill has in GiB", nil, times(1.073741824), times(1.073741824), "units"},
		{"3 % of the lines are lost", nil, times(0.97), right, "log-lines"},
		{"5 % of the lines are lost, nothing else is known", nil, times(0.95), times(0.9), "log-lines"},
		{"each line twice", nil, times(2), right, "twice"},
		{"the bill has each row twice", func(s *sample) {
			s.s3("layers-use1", "us-east-1", "DataTransfer-Out-Bytes", "1000", "GB", "90")
			s.s3("layers-use1", "us-east-1", "DataTransfer-Out-Bytes", "1000", "GB", "90")
		}, right, right, "twice"},
		{"nothing in the logs", nil, Side{}, right, "no-logs"},
		{"another tier", func(s *sample) { s.s3("layers-use1", "us-east-1", "DataTransfer-Out-Bytes", "1000", "GB", "50") }, right, right, "tier"},
		{"a discount", func(s *sample) {
			s.row(map[string]string{"ResourceId": "layers-use1", "RegionId": "us-east-1", "x_UsageType": "DataTransfer-Out-Bytes",
				"ConsumedQuantity": "1000", "ConsumedUnit": "GB", "ListCost": "90", "ContractedCost": "54", "EffectiveCost": "54", "BilledCost": "54"})
		}, right, right, "discount"},
		{"no row of the bucket", func(s *sample) { s.s3("layers-euc1", "eu-central-1", "EUC1-DataTransfer-Out-Bytes", "1", "GB", "0.09") }, right, right, "resource"},
		{"downloads that were ended early", nil, times(1.3), times(1.3), "cut"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := shape("aws", "1.2")
			if test.row == nil {
				test.row = func(s *sample) { s.s3("layers-use1", "us-east-1", "DataTransfer-Out-Bytes", "1000", "GB", "90") }
			}
			test.row(s)
			c := read(t, Options{}, filed(t, "f.csv", s.csv())).Compare(counted("s3-use1", Internet, test.logs, test.estimate), october, november)
			var codes []string
			for _, r := range lineOf(t, c, "s3-use1", Internet).Reasons {
				codes = append(codes, r.Code)
			}
			if got := strings.Join(codes, " "); got != test.want {
				t.Errorf("reasons %q, want %q", got, test.want)
			}
		})
	}
}

// TestApart: taxes, credits, corrections and refunds are on no line, and rows of others are not counted.
func TestApart(t *testing.T) {
	s := shape("aws", "1.2").s3("layers-use1", "us-east-1", "DataTransfer-Out-Bytes", "100", "GB", "9")
	credit := func(category, class, resource, usd string) {
		s.row(costs(map[string]string{"ChargeCategory": category, "ChargeClass": class, "ResourceId": resource, "RegionId": "us-east-1",
			"x_UsageType": "DataTransfer-Out-Bytes"}, usd))
	}
	credit("Credit", "", "layers-use1", "-4.5")
	credit("Tax", "", "", "1.71")
	credit("Usage", "Correction", "layers-use1", "-0.25")
	credit("Adjustment", "", "", "-0.01")
	s.s3("layers-use1", "us-east-1", "Some-New-Thing", "7", "Things", "0.5")
	s.s3("another-bucket", "us-east-1", "DataTransfer-Out-Bytes", "1000", "GB", "90")
	s.row(costs(map[string]string{"ResourceId": "layers-use1", "SubAccountId": "999900001111", "x_UsageType": "DataTransfer-Out-Bytes",
		"ConsumedQuantity": "5", "ConsumedUnit": "GB"}, "0.45"))
	s.row(costs(map[string]string{"ResourceId": "i-0123", "ServiceName": "Amazon Elastic Compute Cloud", "x_ServiceCode": "AmazonEC2",
		"RegionId": "us-east-1", "x_UsageType": "DataTransfer-Out-Bytes", "ConsumedQuantity": "50", "ConsumedUnit": "GB"}, "4.5"))
	b := read(t, Options{}, filed(t, "f.csv", s.csv()))
	c := b.Compare(nil, october, november)
	if got := lineOf(t, c, "s3-use1", Internet).Bill; got.Effective != 9 || got.Rows != 1 {
		t.Errorf("line %+v", got)
	}
	var apart []string
	for _, a := range c.Apart {
		apart = append(apart, fmt.Sprintf("%s %s %.2f", a.What, a.Store, a.Effective))
	}
	if d := cmp.Diff([]string{"Adjustment  -0.01", "Correction s3-use1 -0.25", "Credit s3-use1 -4.50", "Tax  1.71"}, apart); d != "" {
		t.Error(d)
	}
	if len(c.Unknown) != 1 || c.Unknown[0].Meter != "Some-New-Thing" || c.Unknown[0].Effective != 0.5 {
		t.Errorf("unknown %+v", c.Unknown)
	}
	var foreign []string
	for _, f := range c.Foreign {
		foreign = append(foreign, fmt.Sprintf("%s %.2f %s", f.Resource, f.Effective, f.Why))
	}
	if d := cmp.Diff([]string{"another-bucket 90.00 the config has no store with this resource",
		"layers-use1 0.45 paid by account 999900001111, not by the owner in the config"}, foreign); d != "" {
		t.Error(d)
	}
	book, err := bill.New(world(t))
	if err != nil {
		t.Fatal(err)
	}
	// Of the 1,150 GB that the payer sent from the region, 100 are our bucket's. Two stores have scopes of their own there.
	var besides []float64
	for k, q := range b.Before(book, october) {
		if k.From == "us-east-1" {
			besides = append(besides, q/(1<<30))
		}
	}
	if d := cmp.Diff([]float64{1050, 1050}, besides); d != "" {
		t.Error(d)
	}
}

// TestPayers: where the config names the payers as the bill does, each begins on the ladder behind its own usage. A bill
// that has no usage in the region says nothing, so that the config counts.
func TestPayers(t *testing.T) {
	const out = "DataTransfer-Out-Bytes"
	of := func(payer, account string) map[string]string {
		return map[string]string{"BillingAccountId": payer, "SubAccountId": account}
	}
	cfg := world(t)
	cfg.Billing.Accounts = map[config.AccountName]config.Account{
		"111122223333": {Payer: "payer-1"}, "other": {Payer: "payer-2", Stores: []string{"gcs"}},
	}
	i := slices.IndexFunc(cfg.Stores, func(s config.Store) bool { return s.Name == "gcs" })
	second := cfg.Stores[0] // another bucket in us-east-1, of the other payer
	second.Name, second.Owner, second.URL, second.Bucket = "gcs", "", "https://layers-second.s3.us-east-1.amazonaws.com/{digest}", "s3://layers-second?region=us-east-1"
	cfg.Stores[i] = second
	book, err := bill.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	rows := func(region string) *sample {
		s := shape("aws", "1.2")
		for _, r := range []struct {
			payer, account, bucket, gb string
		}{
			{"payer-1", "111122223333", "layers-use1", "100"}, {"payer-1", "111122223333", "another", "400"},
			{"payer-2", "555566667777", "layers-second", "30"}, {"payer-2", "555566667777", "a-third", "5000"},
		} {
			row := costs(of(r.payer, r.account), "1")
			for k, v := range map[string]string{"ResourceId": r.bucket, "ServiceName": "Amazon Simple Storage Service", "x_ServiceCode": "AmazonS3",
				"RegionId": region, "x_UsageType": out, "ConsumedQuantity": r.gb, "ConsumedUnit": "GB"} {
				row[k] = v
			}
			s.row(row)
		}
		return s
	}
	for region, want := range map[string]map[string]float64{"us-east-1": {"payer-1": 400, "payer-2": 5000}, "mars": {}} {
		b, err := Read(t.Context(), cfg, []string{filed(t, "f.csv", rows(region).csv())}, Options{Now: later})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for k, q := range b.Before(book, october) {
			if k.From == "us-east-1" && k.Payer != "" {
				got[k.Payer] = q / (1 << 30)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", region, d)
		}
	}
}

// TestSharedRows: rows that name no bucket are allotted by the shares of the logs, and the result says so.
func TestSharedRows(t *testing.T) {
	s := shape("aws", "1.0").s3("", "us-east-1", "DataTransfer-Out-Bytes", "100", "GB", "9").s3("", "ap-south-1", "APS3-DataTransfer-Out-Bytes", "100", "GB", "9")
	c := read(t, Options{}, filed(t, "f.csv", s.csv())).Compare([]Ours{
		{Month: october, Store: "s3-use1", Kind: Internet, Source: traffic.FromStore, Side: Side{Quantity: 300}},
		{Month: october, Store: "edge", Kind: Internet, Source: traffic.FromStore, Side: Side{Quantity: 100}},
	}, october, november)
	l := lineOf(t, c, "s3-use1", Internet)
	if l.Allotted == nil || math.Abs(l.Bill.Effective-6.75) > 1e-9 || lineOf(t, c, "edge", Internet).Bill.Effective != 2.25 {
		t.Errorf("line %+v", l)
	}
	if len(c.Notes) != 1 || !strings.Contains(c.Notes[0], "name no bucket; they are allotted to s3-use1, edge by their shares in the logs") {
		t.Errorf("notes %q", c.Notes)
	}
}

// TestCDN: a distribution is found by the identifier in the config; without it, the result names it.
func TestCDN(t *testing.T) {
	s := shape("aws", "1.2").row(costs(map[string]string{"ResourceId": "arn:aws:cloudfront::111122223333:distribution/E1A2B3C4D5E6F7",
		"ServiceName": "Amazon CloudFront", "x_ServiceCode": "AmazonCloudFront", "x_UsageType": "EU-DataTransfer-Out-Bytes",
		"ConsumedQuantity": "1000", "ConsumedUnit": "GB"}, "85")).
		s3("origin-use1", "us-east-1", "CloudFront-Out-Bytes", "40", "GB", "0")
	ours := counted("edge", Edge, Side{Quantity: 1000 << 30, List: 85, USD: 85}, Side{})[:1]
	file := filed(t, "f.csv", s.csv())
	c := read(t, Options{}, file).Compare(ours, october, november)
	if got := lineOf(t, c, "edge", Edge).Reasons; len(got) != 1 || got[0].Code != "resource" {
		t.Errorf("reasons %+v", got)
	}
	if len(c.Foreign) != 1 || !strings.HasSuffix(c.Foreign[0].Resource, "E1A2B3C4D5E6F7") {
		t.Errorf("foreign %+v", c.Foreign)
	}
	for _, id := range []string{"E1A2B3C4D5E6F7", "arn:aws:cloudfront::111122223333:distribution/E1A2B3C4D5E6F7"} {
		cfg := world(t)
		cfg.Billing.Resources = map[config.AccountName][]string{"edge": {id}}
		b, err := Read(t.Context(), cfg, []string{file}, Options{Now: later})
		if err != nil {
			t.Fatal(err)
		}
		c = b.Compare(ours, october, november)
		if l := lineOf(t, c, "edge", Edge); l.Bill.List != 85 || len(l.Reasons) != 0 {
			t.Errorf("%s: line %+v", id, l)
		}
		if l := lineOf(t, c, "edge", Fill); l.Bill.Quantity != 40<<30 {
			t.Errorf("%s: line %+v", id, l)
		}
	}
}

// TestFaultyRows: rows that make no sense are counted and named, and the others count.
func TestFaultyRows(t *testing.T) {
	s := shape("aws", "1.2")
	good := map[string]string{"ResourceId": "layers-use1", "RegionId": "us-east-1", "x_UsageType": "DataTransfer-Out-Bytes", "ConsumedQuantity": "1", "ConsumedUnit": "GB"}
	with := func(column, value string) {
		v := costs(map[string]string{}, "1")
		for k, x := range good {
			v[k] = x
		}
		v[column] = value
		s.row(v)
	}
	with("", "")
	with("BilledCost", "1e400")
	with("EffectiveCost", "NaN")
	with("ListCost", "0x10")
	with("ConsumedQuantity", "1e30")
	with("ChargePeriodStart", "yesterday")
	with("ChargeCategory", "Gift")
	with("BillingCurrency", "")
	with("ConsumedUnit", "Furlongs")
	data := append(s.csv(), []byte("a,b,c\n")...)
	data = append(data, s.csv()[strings.Index(string(s.csv()), "\n")+1:]...)
	c := read(t, Options{}, filed(t, "f.csv", data[:len(data)-1])).Compare(nil, october, november)
	var faults []string
	for _, f := range c.Faults {
		faults = append(faults, fmt.Sprintf("%d %s", f.Rows, f.What))
	}
	want := []string{
		"2 BilledCost is no number, or a hugely wrong one",
		"2 BillingCurrency is no currency",
		"2 ChargeCategory is no category",
		"2 ChargePeriodStart is no date and time",
		"2 ConsumedQuantity is no number, or a hugely wrong one",
		"2 EffectiveCost is no number, or a hugely wrong one",
		"2 ListCost is no number, or a hugely wrong one",
		"1 a row does not fit the header",
		"2 rows that are twice in one file, with the same values: counted as often",
		"1 the last row does not end with a newline, so the file may be truncated: counted",
		`2 the unit "Furlongs" of internet is not known: its costs count, its quantity does not`,
	}
	if d := cmp.Diff(want, faults); d != "" {
		t.Error(d)
	}
	if l := lineOf(t, c, "s3-use1", Internet); l.Bill.Rows != 4 || l.Bill.Effective != 4 || l.Bill.Quantity != 2<<30 {
		t.Errorf("line %+v", l.Bill)
	}
}

// TestRefused: what cannot be read as a whole is an error that says what it is.
func TestRefused(t *testing.T) {
	aws := shape("aws", "1.0").s3("layers-use1", "us-east-1", "DataTransfer-Out-Bytes", "1", "GB", "1")
	euro := shape("aws", "1.0").row(costs(map[string]string{"BillingCurrency": "EUR"}, "1"))
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"empty":         {nil, "the file is empty"},
		"no FOCUS":      {[]byte("a,b\n1,2\n"), "no cost data in the format FOCUS"},
		"a CUR":         {[]byte("line_item_usage_amount,b\n1,2\n"), "Cost and Usage Report of AWS, not FOCUS"},
		"older Azure":   {[]byte("CostInBillingCurrency,b\n1,2\n"), "cost details of Azure in the older format"},
		"twice":         {[]byte("BilledCost,BilledCost\n1,2\n"), "the column BilledCost is there twice"},
		"cut":           {aws.csv()[:len(aws.csv())-80], "the file is truncated"},
		"cut in quotes": {aws.csv()[:strings.Index(string(aws.csv()), "team")+3], "the file is truncated"},
		"cut gzip":      {zipped(t, aws.csv())[:200], "the file is truncated"},
		"zip":           {[]byte("PK\x03\x04xxxx"), "unpack it with unzip"},
		"euro":          {euro.csv(), `the costs are in "EUR", not in US dollars`},
		"open quote":    {append(aws.csv(), append([]byte(`"`), make([]byte, 5<<20)...)...), "a quote is not closed"},
		"cut parquet":   {[]byte("PAR1xxxxxxxxxxxx"), "the file is truncated"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(t.Context(), world(t), []string{filed(t, "f", test.data)}, Options{Now: later})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	b := read(t, Options{Rates: map[string]float64{"EUR": 1.5}}, filed(t, "f.csv", shape("aws", "1.0").row(costs(map[string]string{"BillingCurrency": "EUR",
		"ResourceId": "layers-use1", "x_UsageType": "DataTransfer-Out-Bytes", "ConsumedQuantity": "1", "ConsumedUnit": "GB"}, "2")).csv()))
	if got := lineOf(t, b.Compare(nil, october, november), "s3-use1", Internet).Bill.List; got != 3 {
		t.Errorf("2 EUR at 1.5 are $%v", got)
	}
	var in *currencyError
	if _, err := Read(t.Context(), world(t), []string{filed(t, "f", euro.csv())}, Options{}); !errors.As(err, &in) {
		t.Errorf("%v", err)
	}
}
