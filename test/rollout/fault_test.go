package rollout

import (
	"fmt"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// begin runs a test as on a machine of its own, and reports whether this is that machine.
func begin(t *testing.T) bool {
	t.Helper()
	parts.Slow(t)
	t.Parallel()
	return parts.Apart(t, 8*time.Minute, func() []string {
		parts.Find(t, "haproxy")
		parts.Find(t, "prometheus")
		return []string{"OCIPROXY_BINARY=" + proxy.Binary(t), "OCIPROXYCTL_BINARY=" + ctl.Binary(t)}
	})
}

// TestSlowWorld tests the world itself: without a fault no pull fails, and each fault has the effect that the other tests
// rely on.
func TestSlowWorld(t *testing.T) {
	if !begin(t) {
		return
	}
	w := newWorld(t)
	file := w.write(t, "good", w.configuration(storeCDN))
	for _, i := range w.instances {
		w.serve(t, i, "--config", file)
	}
	w.watch(t)
	c := w.gather(t)
	for _, fault := range []string{"", faultResume, faultAzure, faultDead, ""} {
		began := time.Now()
		w.fault(t, storeCDN, fault)
		parts.Poll(t, time.Minute, "the effect of "+fault, func() error {
			s := c.tally(began)
			if fault == "" && s.pulls < 30 || fault != "" && s.first < 3 {
				return fmt.Errorf("%s", s)
			}
			return nil
		})
		s := c.tally(began)
		if fault != "" {
			w.fault(t, storeCDN, "")
		} else if s.first > 0 {
			t.Errorf("without a fault: %s", s.examples)
		}
		t.Logf("fault %q: %s, for example %v", fault, s, s.examples)
		if fault == "" {
			continue
		}
		w.recovered(t)
		got := w.prometheus.Wait(t, time.Minute, `sum by (proxy, code) (haproxy_backend_http_responses_total{proxy="cdn.example.org"})`)
		t.Log(got)
	}
}
