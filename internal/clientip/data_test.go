package clientip_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/clientip"
)

// root is the root directory of the module.
var root = filepath.Join("..", "..")

func readData(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "..", "shared", "data", "ranges", name))
	if os.IsNotExist(err) && os.Getenv("CI") == "" && os.Getenv("OCIPROXY_REQUIRE_DATA") != "1" {
		t.Skipf("SKIPPED, published ranges are not here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func mustTrust(t *testing.T, name string, published []string) {
	t.Helper()
	rule, _ := clientip.Preset(name)
	if len(published) == 0 {
		t.Fatal("the published list is empty")
	}
	for _, p := range published {
		if !slices.Contains(rule.Trusted, netip.MustParsePrefix(p)) {
			t.Errorf("preset %s lacks %s", name, p)
		}
	}
	if want := len(published) + len(clientip.DefaultTrusted()); len(rule.Trusted) != want {
		t.Errorf("preset %s trusts %d prefixes, the provider publishes %d", name, len(rule.Trusted), want)
	}
}

func TestPresetsTrustWhatProvidersPublish(t *testing.T) {
	t.Run("cloudfront", func(t *testing.T) {
		var ranges struct {
			Prefixes []struct {
				Prefix  string `json:"ip_prefix"`
				Service string
			}
			Prefixes6 []struct {
				Prefix  string `json:"ipv6_prefix"`
				Service string
			} `json:"ipv6_prefixes"`
		}
		readData(t, "aws-ip-ranges.json", &ranges)
		var published []string
		for _, p := range ranges.Prefixes {
			if p.Service == "CLOUDFRONT_ORIGIN_FACING" {
				published = append(published, p.Prefix)
			}
		}
		for _, p := range ranges.Prefixes6 {
			if p.Service == "CLOUDFRONT_ORIGIN_FACING" {
				published = append(published, p.Prefix)
			}
		}
		mustTrust(t, "cloudfront", published)
	})
	t.Run("fastly", func(t *testing.T) {
		var ranges struct {
			Addresses  []string
			Addresses6 []string `json:"ipv6_addresses"`
		}
		readData(t, "fastly-public-ip-list.json", &ranges)
		mustTrust(t, "fastly", append(ranges.Addresses, ranges.Addresses6...))
	})
}

// The operators' page must describe every front and every source.
func TestPageIsComplete(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "client-address.md"))
	if err != nil {
		t.Fatal(err)
	}
	words := clientip.Presets()
	for _, source := range clientip.Sources() {
		words = append(words, source.String())
	}
	for _, word := range words {
		if !strings.Contains(string(page), "`"+word+"`") {
			t.Errorf("docs/client-address.md does not say what `%s` is", word)
		}
	}
}
