package docs_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/demo"
)

// TestReadmeShowsTheDemo: what the README shows is what `make demo DEMO_FLAGS=--once` prints.
func TestReadmeShowsTheDemo(t *testing.T) {
	var out, log bytes.Buffer
	if err := demo.Run(t.Context(), demo.Options{Once: true, Output: "text", Stdout: &out, Stderr: &log}); err != nil {
		t.Fatalf("demo: %v\n%s", err, log.String())
	}
	blocks := regexp.MustCompile("(?ms)^```text\n(.*?)^```$").FindAllStringSubmatch(read(t, "README.md"), -1)
	for _, b := range blocks {
		if strings.Contains(b[1], "DIGEST OK") {
			if diff := cmp.Diff(b[1], out.String()); diff != "" {
				t.Errorf("the README and the demo (-README +demo):\n%s", diff)
			}
			return
		}
	}
	t.Error("README.md has no output of the demo")
}
