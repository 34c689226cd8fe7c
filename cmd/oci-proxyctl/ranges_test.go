package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// feedServer serves the real feeds, which are not part of the project. Without them the test is skipped; in CI it fails
// instead.
func feedServer(t *testing.T) *httptest.Server {
	t.Helper()
	dir := "../../../shared/data/ranges"
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("OCIPROXY_REQUIRE_DATA") == "1" {
			t.Fatalf("the real feeds are missing: %v", err)
		}
		t.Skipf("the real feeds are missing: %v", err)
	}
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return s
}

// fetchRanges runs ranges fetch.
func fetchRanges(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"ranges", "fetch"}, args...), emptyEnv, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// rangesConfig writes a config with feeds of the server. Each feed is a provider and a file.
func rangesConfig(t *testing.T, server string, feeds ...[2]string) string {
	t.Helper()
	text := "version: 1\nlocation: aws/us-east-1\nupstreams: [{name: main, url: \"https://registry.example.org\", place: aws/us-east-1, canonical: true}]\n" +
		"ranges:\n  feeds:\n"
	for _, f := range feeds {
		text += fmt.Sprintf("    - {provider: %s, url: \"%s/%s\", insecure: true}\n", f[0], server, f[1])
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRangesFetch(t *testing.T) {
	server := feedServer(t)
	aws, gcp, azure := [2]string{"aws", "aws-ip-ranges.json"}, [2]string{"gcp", "gcp-cloud.json"}, [2]string{"azure", "azure-servicetags.json"}
	geofeed := [2]string{"geofeed, cloud: linode", "linode-geofeed.csv"}
	all := rangesConfig(t, server.URL, aws, gcp, azure, geofeed)
	dir := filepath.Join(t.TempDir(), "seed")

	code, out, errs := fetchRanges(t, dir, "--config", all, "--dry-run")
	if code != 0 || !strings.Contains(out, "nothing was written") || errs != "" {
		t.Errorf("dry run: %d\n%s%s", code, out, errs)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a dry run wrote")
	}
	code, out, errs = fetchRanges(t, dir, "--config", all)
	if code != 0 || errs != "" {
		t.Fatalf("%d\n%s%s", code, out, errs)
	}
	for _, line := range []string{"aws     new", "gcp     new", "azure   new", "linode  new", "linode.csv\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}

	// One feed is missing, and one belongs to another provider: the others are fetched.
	some := rangesConfig(t, server.URL, [2]string{"aws", "gone.json"}, [2]string{"gcp", "azure-servicetags.json"}, azure, geofeed)
	code, out, errs = fetchRanges(t, dir, "--config", some)
	want := fmt.Sprintf(`oci-proxyctl: feed aws: get %[1]s/gone.json: status 404 Not Found
oci-proxyctl: feed gcp: get %[1]s/azure-servicetags.json: guard: no prefixes
oci-proxyctl: 2 of 4 feeds failed
hint: the same command fetches them again
`, server.URL)
	if diff := cmp.Diff(want, errs); code != 5 || diff != "" || !strings.Contains(out, "azure   unchanged") || !strings.Contains(out, "aws     failed") {
		t.Errorf("%d\n%s\n%s", code, out, diff)
	}

	// The error names a copy that differs too much, so that the operator can remove it.
	if err := os.WriteFile(filepath.Join(dir, "gcp.json"), []byte(`{"prefixes":[{"ipv4Prefix":"34.1.208.0/20","scope":"africa-south1"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs = fetchRanges(t, dir, "--config", rangesConfig(t, server.URL, gcp))
	if code != 1 || !strings.Contains(errs, "hint: if the provider really changed that much, remove "+filepath.Join(dir, "gcp.json")) {
		t.Errorf("%d\n%s", code, errs)
	}

	code, out, errs = fetchRanges(t, dir, "--config", some, "--output", "json")
	var doc renewed
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 5 || errs != "" {
		t.Fatalf("%d, %v\n%s%s", code, err, out, errs)
	}
	if doc.Failed != 2 || len(doc.Feeds) != 4 || doc.Feeds[0].Error == "" || doc.Feeds[2].Rows < 15_000 || doc.Directory != dir {
		t.Errorf("%+v", doc)
	}
}

func TestRangesFetchWrongly(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	none := rangesConfig(t, "")
	one := rangesConfig(t, "http://127.0.0.1:1", [2]string{"aws", "a"})
	tests := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no directory", nil, 2, "want one directory"},
		{"an empty one", []string{""}, 2, "want one directory"},
		{"two", []string{"a", "b"}, 2, "want one directory"},
		{"no time", []string{dir, "--timeout", "0s"}, 2, "want more than 0"},
		{"a file", []string{file, "--config", one}, 1, "file: not a directory"},
		{"no feeds", []string{dir, "--config", none}, 1, "names no feed"},
		{"nothing answers", []string{dir, "--config", one}, 1, "feed aws: get http://127.0.0.1:1/a: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := fetchRanges(t, tt.args...)
			if code != tt.code || !strings.Contains(errs, tt.says) {
				t.Errorf("%d, want %d and %q\n%s%s", code, tt.code, tt.says, out, errs)
			}
		})
	}
}
