package usage_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/usage"
)

func BenchmarkClassify(b *testing.B) {
	for _, name := range []string{"s3.log", "proxy.jsonl"} {
		b.Run(name, func(b *testing.B) {
			data, err := os.ReadFile(filepath.Join("..", "accesslog", "testdata", name))
			if err != nil {
				b.Fatal(err)
			}
			data = bytes.ReplaceAll(bytes.Split(data, []byte("\n"))[min(1, len(name)-6)], []byte("layers-example "), []byte("layers-fra "))
			c := classifier(b, usage.Options{})
			var r accesslog.Reader
			data = bytes.Repeat(append(data, '\n'), 1000)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				err := r.Read(b.Context(), name, bytes.NewReader(data), func(rec *accesslog.Record) error {
					_, _ = c.Classify(rec)
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
