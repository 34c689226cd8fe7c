package status

import (
	"bytes"
	"testing"
	"time"
)

// FuzzDocument: whatever lies in the bucket, a writer refuses it, or continues it into something that the next one reads.
func FuzzDocument(f *testing.F) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	good := new(Document)
	v, err := good.vantage("registry.example.org", "oslo")
	if err != nil {
		f.Fatal(err)
	}
	v.add([]Run{{now.Add(-3 * day), Down}, {now.Add(-time.Hour), Up}, {now, Degraded}}, now, time.Minute)
	good.finish(now)
	text, err := good.text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(bytes.ReplaceAll(text, []byte("2026"), []byte("9999")))
	f.Add(bytes.ReplaceAll(text, []byte(`"runs":[`), []byte(`"runs":[4294967295,0,`)))
	f.Add([]byte(`{"version":1,"names":[{"name":"b"},{"name":"a","vantages":[{"vantage":"x","last":"up"},{"vantage":"x","last":"down"}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parse(text)
		if err != nil {
			return
		}
		if v, err := d.vantage("registry.example.org", "oslo"); err == nil {
			v.add([]Run{{now.Add(-time.Second), Down}, {now, Up}}, now, time.Minute)
		}
		d.finish(now)
		written, err := d.text()
		if err != nil {
			return // too large
		}
		if _, err := parse(written); err != nil {
			t.Errorf("the next writer cannot read it: %v\n%s", err, written)
		}
		if _, err := d.page(); err != nil {
			t.Errorf("no page: %v", err)
		}
	})
}
