package infra

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/edge"
	"ociproxy/test/parts"
)

// TestRights: the roles of the modules have the rights of deploy/permissions, and the right to delete is apart.
func TestRights(t *testing.T) {
	for module, c := range map[string]struct{ file, right, apart string }{
		"gcp-stores":   {"gcs-role.yaml", `storage\.[a-z]+\.[a-z]+`, "storage.objects.delete"},
		"azure-stores": {"azure-role.json", `blobs/[a-z]+"`, `blobs/delete"`},
	} {
		rights := func(elem ...string) []string {
			text, err := os.ReadFile(filepath.Join(append([]string{parts.Root(), "deploy"}, elem...)...))
			if err != nil {
				t.Fatal(err)
			}
			found := regexp.MustCompile(c.right).FindAllString(strings.ReplaceAll(string(text), "blobs}", "blobs"), -1)
			slices.Sort(found)
			return slices.Compact(found)
		}
		file := strings.Join(rights("permissions", c.file), " ")
		module := strings.Join(rights("terraform", module, "writer.tf"), " ")
		if file != module || !strings.Contains(file, c.apart) {
			t.Errorf("%s has %s, the module %s", c.file, file, module)
		}
	}
}

// TestAllow: the function of cdn-cloudfront lets only blobs and the inventory through, and is small enough for CloudFront.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
func TestAllow(t *testing.T) {
	code, err := os.ReadFile(filepath.Join(Dir(), "cdn-cloudfront", "allow.js"))
	if err != nil {
		t.Fatal(err)
	}
	if len(code) > 10<<10 {
		t.Errorf("%d bytes, want at most 10 kB", len(code))
	}
	hex := strings.Repeat("0a", 32)
	digest := "/containers/images/sha256:" + hex
	cases := []struct{ method, uri, want string }{
		{"GET", digest, digest},
		{"HEAD", strings.Replace(digest, ":", "%3A", 1), digest},
		{"GET", "/inventory/head.json", "/inventory/head.json"},
		{"GET", "/inventory/seg/" + hex, "/inventory/seg/" + hex},
		{"GET", "/containers/images/sha512:" + hex + hex, "/containers/images/sha512:" + hex + hex},
		{"GET", "/containers/images/sha512%3a" + hex + hex, "/containers/images/sha512:" + hex + hex},
		{"GET", "/containers/images/sha512:" + hex, "403"},
		{"GET", "/inventory/seg/00.seg", "403"},
		{"GET", "/inventory/other", "403"},
		{"POST", digest, "405"},
		{"GET", "//containers/images/sha256:" + hex, "403"},
		{"GET", digest + "/", "403"},
		{"GET", strings.ToUpper(digest), "403"},
		{"GET", "/containers/./images/sha256:" + hex, "403"},
		{"GET", "/%63ontainers/images/sha256:" + hex, "403"},
		{"PUT", digest, "405"},
		{"DELETE", digest, "405"},
		{"GET", "/", "403"},
		{"GET", digest + "0", "403"},
		{"GET", "/inventory/", "403"},
		{"GET", "/inventory/../config/x", "403"},
		{"GET", "/config/rings/a.json", "403"},
	}
	// What is let through and what is not is the table of oci-proxy routes --for store.
	routes, err := edge.Store("")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if passes, err := edge.Match(routes, c.uri); err != nil || c.want != "405" && passes != (c.want != "403") {
			t.Errorf("%s: the routes of a store let it through: %v, %v", c.uri, passes, err)
		}
	}
	script := string(code)
	for _, c := range cases {
		script += fmt.Sprintf(`var r = handler({request: {method: %q, uri: %q, querystring: {x: {value: '1'}}}});
console.log(JSON.stringify([String(r.statusCode || r.uri), r.querystring ? Object.keys(r.querystring).length : 0]));
`, c.method, c.uri)
	}
	file := filepath.Join(t.TempDir(), "allow.js")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(parts.Run(t, time.Minute, parts.Find(t, "node"), file)), "\n")
	if len(lines) != len(cases) {
		t.Fatalf("%q", lines)
	}
	for i, c := range cases {
		if want, err := json.Marshal([]any{c.want, 0}); err != nil || lines[i] != string(want) {
			t.Errorf("%s %s: %s, want %s", c.method, c.uri, lines[i], want)
		}
	}
}
