package gather

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ociproxy/internal/config"
	"ociproxy/internal/logsource"
	"ociproxy/internal/rollup/rolluptest"
	"ociproxy/internal/usage"
)

// TestCopies wants the copy of a log to be noticed, also compressed, and no logs that only have the same heading.
func TestCopies(t *testing.T) {
	dir := t.TempDir()
	log := func(name, id string, packed bool) {
		var text bytes.Buffer
		text.WriteString("#Version: 1.0\n#Fields: date time\n")
		for i := range 200 {
			fmt.Fprintf(&text, "%s line %d of a log in no known form\n", id, i)
		}
		body := text.Bytes()
		if packed {
			var out bytes.Buffer
			z := gzip.NewWriter(&out)
			if _, err := z.Write(body); err != nil || z.Close() != nil {
				t.Fatal("not compressed")
			}
			body = out.Bytes()
		}
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log("a.log", "a", false)
	log("b.log", "b", false)
	log("c.log.gz", "a", true)
	cfg, err := config.Parse("config.yaml", []byte(rolluptest.Config))
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := usage.New(cfg, nil, usage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	source, err := logsource.Parse(t.Context(), dir, logsource.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), source.List(t.Context(), logsource.Days{}), Options{Classifier: classifier, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Alike) != 1 || filepath.Base(r.Alike[0][0].Name) != "a.log" || filepath.Base(r.Alike[0][1].Name) != "c.log.gz" {
		t.Errorf("%v", r.Alike)
	}
}
