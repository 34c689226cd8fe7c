package prometheus_test

import (
	"testing"
	"time"

	"ociproxy/test/parts"
	"ociproxy/test/prometheus"
)

// TestStart scrapes the server itself, and notices that a target was replaced.
func TestStart(t *testing.T) {
	s := prometheus.Start(t, 500*time.Millisecond)
	s.Scrape(t, prometheus.Target{Addr: s.Addr, Job: "self", Labels: map[string]string{"region": "here"}})
	got := s.Wait(t, parts.Ready, `up{job="self"}==1`)
	if len(got) != 1 || got[0].Value != 1 || got[0].Labels["region"] != "here" || got[0].Labels["instance"] != s.Addr {
		t.Fatal(got)
	}
	s.Scrape(t)
	s.Wait(t, parts.Ready, `absent(up{job="self"})`)
	if _, err := s.Query("up{"); err == nil {
		t.Error("a wrong expression is no error")
	}
}
