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
	digest := "/containers/images/sha256:" + strings.Repeat("0a", 32)
	cases := []struct{ method, uri, want string }{
		{"GET", digest, digest},
		{"HEAD", strings.Replace(digest, ":", "%3A", 1), digest},
		{"GET", "/inventory/head.json", "/inventory/head.json"},
		{"GET", "/inventory/seg/00.seg", "/inventory/seg/00.seg"},
		{"PUT", digest, "405"},
		{"DELETE", digest, "405"},
		{"GET", "/", "403"},
		{"GET", digest + "0", "403"},
		{"GET", "/inventory/", "403"},
		{"GET", "/inventory/../config/x", "403"},
		{"GET", "/config/rings/a.json", "403"},
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
