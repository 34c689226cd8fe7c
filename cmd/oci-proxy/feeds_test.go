package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/config"
)

// shared returns the directory of the real feeds, which are not part of the project. Without it the test is skipped,
// except in CI, where it fails.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../../shared/data/ranges")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("OCIPROXY_REQUIRE_DATA") == "1" {
			t.Fatalf("the real feeds are missing: %v", err)
		}
		t.Skipf("the real feeds are missing: %v", err)
	}
	return dir
}

// explained has the fields of an explanation that these tests read.
type explained struct {
	Address, Place string
	Unlisted       string `json:"unlisted_region"`
	Notes          []string
	Candidates     []struct {
		Name    string
		RTT     float64 `json:"rtt_ms"`
		PriceOf string  `json:"price_basis"`
	}
	Answer struct {
		Status    int
		Candidate string
	}
}

// explainAll explains addresses with the Kubernetes example. feeds are given as provider=FILE.
func explainAll(t *testing.T, feeds []string, addrs []string) []explained {
	t.Helper()
	args := []string{"explain", "--config", "../../examples/kubernetes.yaml", "--ip", "-", "--output", "json"}
	for _, f := range feeds {
		args = append(args, "--feed", f)
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, noEnv, strings.NewReader(strings.Join(addrs, "\n")), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr: %s", stderr.String())
	}
	var all []explained
	for in := json.NewDecoder(&stdout); ; {
		var e explained
		if err := in.Decode(&e); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
}

// realFeeds are the real feeds of the clouds that the Kubernetes example names.
var realFeeds = map[string]string{
	"aws": "aws-ip-ranges.json", "gcp": "gcp-cloud.json", "azure": "azure-servicetags.json", "oracle": "oracle-public_ip_ranges.json",
}

// TestExplainRealFeeds explains the first address of rows of the real AWS, GCP and Azure feeds with the Kubernetes
// example. All are clients of those clouds. AWS clients must stay in AWS, and GCP clients in GCP. The exception are
// clients that no candidate serves at the cloud's own price: for them the CDN is cheaper, and the explanation says
// so.
func TestExplainRealFeeds(t *testing.T) {
	dir := shared(t)
	var feeds []string
	want := map[string]string{} // address → cloud
	for cloud, name := range realFeeds {
		feeds = append(feeds, cloud+"="+filepath.Join(dir, name))
		if cloud == "oracle" {
			continue
		}
		for i, a := range firstAddresses(t, filepath.Join(dir, name)) {
			// Each line is some 12 KB of JSON. Taking every 20th row keeps the test short.
			if i%20 == 0 {
				want[a] = cloud
			}
		}
	}
	outside := map[string]int{}
	answers := explainAll(t, feeds, slices.Collect(maps.Keys(want)))
	for _, e := range answers {
		cloud, at := want[e.Address], e.Place
		if got, region, _ := strings.Cut(at, "/"); got != cloud {
			t.Errorf("%s is in %q, want %s", e.Address, at, cloud)
		} else if cloud != "azure" && (region == "" || strings.HasPrefix(region, "us-gov-") || strings.HasPrefix(region, "cn-") || strings.HasPrefix(region, "eusc-")) {
			outside[at]++
			if e.Answer.Candidate != "cdn" || len(e.Notes) != 1 || !strings.Contains(e.Notes[0], "stores that serve `internet` count too where they are cheaper") {
				t.Errorf("%s (%s): %s, notes %q", e.Address, at, e.Answer.Candidate, e.Notes)
			}
			continue
		}
		if len(e.Notes) > 0 {
			t.Errorf("%s (%s): notes %q", e.Address, at, e.Notes)
		}
		if at == "aws/sa-west-1" {
			// Chile has no bucket. São Paulo's bucket costs 13.8 cents to the rest of AWS, and Google's region in
			// Chile costs 12, so it wins. This is what the formula says, not a fault.
			continue
		}
		store := strings.HasPrefix(e.Answer.Candidate, "s3-")
		if e.Answer.Status != 307 || (cloud == "aws") != store || (cloud == "azure") != (e.Answer.Candidate == "cdn") {
			t.Errorf("%s (%s): %d %s", e.Address, at, e.Answer.Status, e.Answer.Candidate)
		}
	}
	if n := len(answers); n != len(want) || n < 900 {
		t.Errorf("%d answers to %d addresses", n, len(want))
	}
	for _, at := range []string{"aws", "gcp", "aws/us-gov-west-1", "aws/us-gov-east-1", "aws/eusc-de-east-1", "aws/cn-north-1", "aws/cn-northwest-1"} {
		if outside[at] == 0 {
			t.Errorf("no address in %s: the sample is lopsided", at)
		}
	}
}

// TestExplainNewRegions replaces a known region by one that the map does not know, in each real feed. The region's
// clients keep the cloud and, if the name shows it, the partition. Clients in China do not get AWS's own price, and
// are not located near Iowa, where the proxy of the example runs.
func TestExplainNewRegions(t *testing.T) {
	dir := shared(t)
	tests := []struct {
		cloud, was, is, format string
		place, basis           string // basis of the first candidate in the cloud
		near, far              float64
	}{
		{"aws", "eu-west-1", "eu-nowhere-9", `"region": "%s"`, "aws", "same cloud", 0, 60},
		{"aws", "us-gov-west-1", "us-gov-nowhere-9", `"region": "%s"`, "aws/us-gov", "internet", 0, 30},
		{"aws", "cn-north-1", "cn-nowhere-9", `"region": "%s"`, "aws/cn", "internet", 25, 100},
		{"aws", "eusc-de-east-1", "eusc-fr-nowhere-9", `"region": "%s"`, "aws/eusc", "internet", 0, 30},
		{"gcp", "europe-west1", "europe-nowhere9", `"scope": "%s"`, "gcp", "same cloud", 0, 60},
		{"azure", "westeurope", "westnowhere", `"AzureCloud.%s"`, "azure", "", 0, 0},
		{"azure", "northeurope", "usgovnowhere", `"AzureCloud.%s"`, "azure/usgov", "", 0, 0},
		{"oracle", "eu-frankfurt-1", "eu-nowhere-9", `"region": "%s"`, "oracle", "", 0, 0},
	}
	var feeds, there []string
	for cloud, name := range realFeeds {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range tests {
			if tt.cloud == cloud {
				old := regexp.MustCompile(`(?i)` + strings.ReplaceAll(regexp.QuoteMeta(fmt.Sprintf(tt.format, tt.was)), " ", " *"))
				body = old.ReplaceAll(body, fmt.Appendf(nil, tt.format, tt.is))
			}
		}
		file := filepath.Join(t.TempDir(), "feed.json")
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
		feeds = append(feeds, cloud+"="+file)
		for i, a := range firstAddresses(t, file) {
			if cloud != "aws" && cloud != "azure" || i%20 == 0 {
				there = append(there, a)
			}
		}
	}
	answers := explainAll(t, feeds, there)
	for _, tt := range tests {
		n := 0
		for _, e := range answers {
			if e.Unlisted != tt.is || !strings.HasPrefix(e.Place, tt.cloud) {
				continue
			}
			n++
			if e.Place != tt.place || e.Answer.Candidate != "cdn" {
				t.Errorf("%s: in %q, goes to %s; want %q and cdn", e.Address, e.Place, e.Answer.Candidate, tt.place)
			}
			if tt.basis == "" {
				continue // no candidate in the cloud
			}
			if len(e.Notes) != 1 {
				t.Errorf("%s: notes %q", e.Address, e.Notes)
			}
			if c := e.Candidates[1]; c.PriceOf != tt.basis || c.RTT < tt.near || c.RTT > tt.far {
				t.Errorf("%s: %s at the price %q, %.1f ms away; want %q, %v to %v ms", e.Address, c.Name, c.PriceOf, c.RTT, tt.basis, tt.near, tt.far)
			}
		}
		if n == 0 {
			t.Errorf("no address in %s %s", tt.cloud, tt.is)
		}
	}
}

// firstAddresses collects the first address of each string in the file that looks like a prefix. It skips two tags in
// Azure's file that are not regions.
func firstAddresses(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	var out []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if id, ok := v["id"].(string); ok && !strings.HasPrefix(id, "AzureCloud.") {
				return
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		case string:
			if p, err := netip.ParsePrefix(v); err == nil {
				out = append(out, p.Addr().String())
			}
		}
	}
	walk(tree)
	return out
}

func noEnv(string) string { return "" }

func TestGiveFeeds(t *testing.T) {
	cfg := &config.Config{}
	cfg.Ranges.Feeds = []config.Feed{
		{Provider: config.AWS}, {Provider: config.Geofeed, Cloud: "linode", URL: "https://x.example"},
	}
	if err := giveFeeds(cfg, []string{"aws=/a", "linode=/l", "gcp=/g", "digitalocean=/d"}); err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, f := range cfg.Ranges.Feeds {
		got += fmt.Sprintf("%s/%s %s%s\n", f.Provider, f.Cloud, f.URL, f.File)
	}
	if want := "aws/ /a\ngeofeed/linode /l\ngcp/ /g\ngeofeed/digitalocean /d\n"; got != want {
		t.Errorf("feeds:\n%swant\n%s", got, want)
	}
}
