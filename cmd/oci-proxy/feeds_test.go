package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/internal/config"
)

// shared is the folder of real feeds, which are not part of the project. Without it a test is
// skipped, but never where CI runs.
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

// TestExplainRealFeeds explains the first address of every row of the real AWS, GCP and Azure feeds with the
// Kubernetes example. All are clients of those clouds; AWS clients must stay in AWS, GCP clients in GCP.
func TestExplainRealFeeds(t *testing.T) {
	dir := shared(t)
	args := []string{"explain", "--config", "../../examples/kubernetes.yaml", "--ip", "-", "--output", "json"}
	want := map[string]string{} // address → cloud
	for cloud, name := range map[string]string{"aws": "aws-ip-ranges.json", "gcp": "gcp-cloud.json", "azure": "azure-servicetags.json"} {
		args = append(args, "--feed", cloud+"="+filepath.Join(dir, name))
		addrs := firstAddresses(t, filepath.Join(dir, name))
		for i, a := range addrs {
			// Each line is some 12 KB of JSON: every 20th row keeps the test short.
			if i%20 == 0 {
				want[a] = cloud
			}
		}
	}
	args = append(args, "--feed", "oracle="+filepath.Join(dir, "oracle-public_ip_ranges.json"))
	var stdin, stdout, stderr bytes.Buffer
	for a := range want {
		fmt.Fprintln(&stdin, a)
	}
	if code := run(t.Context(), args, noEnv, &stdin, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr: %s", stderr.String())
	}
	n := 0
	lines := bufio.NewScanner(&stdout)
	lines.Buffer(nil, 1<<20)
	for ; lines.Scan(); n++ {
		var e struct {
			Address, Place string
			Answer         struct {
				Status    int
				Candidate string
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		cloud := want[e.Address]
		if got, _, _ := strings.Cut(e.Place, "/"); got != cloud {
			t.Errorf("%s is in %q, want %s", e.Address, e.Place, cloud)
		}
		if e.Place == "aws/sa-west-1" {
			// Chile has no bucket. São Paulo's costs 13.8 cents to the rest of AWS, so Google's region
			// in Chile, at 12, wins: that is the formula at work, not a fault.
			continue
		}
		store := strings.HasPrefix(e.Answer.Candidate, "s3-")
		if e.Answer.Status != 307 || (cloud == "aws") != store || (cloud == "azure") != (e.Answer.Candidate == "cdn") {
			t.Errorf("%s (%s): %d %s", e.Address, e.Place, e.Answer.Status, e.Answer.Candidate)
		}
	}
	if n != len(want) || n < 900 {
		t.Errorf("%d answers to %d addresses", n, len(want))
	}
}

// firstAddresses collects the first address of everything in the file that looks like a prefix, and is in the
// feed proper: Azure's file has two tags that are no regions.
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
