package accesslog

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shapes are logs of every kind, as their makers document them.
var shapes = map[string]Format{
	"proxy.jsonl": Proxy, "proxy.txt": Proxy, "google-lb.jsonl": CloudLogging, "cloud-run.json": CloudLogging,
	"alb.log": ALB, "cloudfront.log": CloudFront, "combined.log": Combined,
	"s3.log": S3, "cloudfront-v2.log": CloudFront, "cloudfront.jsonl": CloudFrontJSON, "gcs.csv": GCS,
	"azure.jsonl": Azure, "azure-table.json": Azure,
}

// TestShapes compares what is read of each log with a file beside it. UPDATE=1 writes the files.
func TestShapes(t *testing.T) {
	for name, format := range shapes {
		file := filepath.Join("testdata", name)
		for _, forced := range []Format{"", format} {
			r := Reader{Format: forced}
			var out bytes.Buffer
			lines := json.NewEncoder(&out)
			lines.SetEscapeHTML(false)
			err := r.ReadFile(t.Context(), file, nil, func(rec *Record) error {
				if rec.Format != format {
					t.Errorf("%s: read as %s, want %s", name, rec.Format, format)
				}
				return lines.Encode(rec)
			})
			s := r.Stats()
			if err != nil || s.Malformed > 0 || s.Formats[format] == 0 {
				t.Fatalf("%s: %v %+v", name, err, s)
			}
			golden := file + ".golden"
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), out.String()); d != "" {
				t.Errorf("%s as %q (-want +got)\n%s", name, forced, d)
			}
		}
	}
}

// A format that is forced refuses the lines of all others, and says which they are.
func TestForced(t *testing.T) {
	for name, format := range shapes {
		for _, forced := range Formats() {
			if forced == format {
				continue
			}
			r := Reader{Format: forced}
			err := r.ReadFile(t.Context(), filepath.Join("testdata", name), nil, func(rec *Record) error {
				t.Errorf("%s is read as %s: %+v", name, forced, rec)
				return nil
			})
			s := r.Stats()
			if err != nil || len(s.Faults) == 0 || !strings.Contains(s.Faults[0].Err, string(format)) {
				t.Errorf("%s as %s: %v %+v", name, forced, err, s)
			}
		}
	}
}
