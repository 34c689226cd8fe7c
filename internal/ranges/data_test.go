package ranges

import (
	"os"
	"path/filepath"
	"testing"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

// dataDir returns the directory of the real feeds, beside the module. They are not part of the repository. Where they
// are absent, the tests that need them skip; in CI they fail.
func dataDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		tb.Fatal("no go.mod above the test")
	}
	data := filepath.Join(dir, "..", "shared", "data", "ranges")
	if _, err := os.Stat(data); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("OCIPROXY_REQUIRE_DATA") == "1" {
			tb.Fatalf("real feeds are required and absent: %v", err)
		}
		tb.Skipf("SKIPPED, real feeds are absent: %v", err)
	}
	return data
}

// realFeeds returns a config with every real feed as a local file.
func realFeeds(tb testing.TB) config.Ranges {
	dir := dataDir(tb)
	file := func(name string) string { return filepath.Join(dir, name) }
	return config.Ranges{Feeds: []config.Feed{
		{Provider: config.AWS, File: file("aws-ip-ranges.json")},
		{Provider: config.GCP, File: file("gcp-cloud.json")},
		{Provider: config.Azure, File: file("azure-servicetags.json")},
		{Provider: config.Oracle, File: file("oracle-public_ip_ranges.json")},
		{Provider: config.Exoscale, File: file("exoscale-prefixes.json")},
		{Provider: config.Geofeed, Cloud: "digitalocean", File: file("digitalocean-geofeed.csv")},
		{Provider: config.Geofeed, Cloud: "linode", File: file("linode-geofeed.csv")},
		{Provider: config.Vultr, File: file("vultr-geofeed.json")},
	}}
}

func mustNew(tb testing.TB, cfg config.Ranges, opts Options) *Ranges {
	tb.Helper()
	r, err := New(cfg, place.Embedded(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}
