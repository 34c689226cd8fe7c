package truth

import (
	"testing"
	"time"
)

func TestSlowTruth(t *testing.T) {
	begin := time.Now()
	w := start(t)
	t.Logf("started in %s", time.Since(begin))
	begin = time.Now()
	w.load(t, []mix{
		{"virginia", 600, map[string]int{"containerd": 40, "crane": 40, "stargz": 40, "soci": 20, "curl": 20}},
		{"iowa", 600, map[string]int{"containerd": 40, "crane": 40, "stargz": 40, "soci": 20, "curl": 20}},
	})
	t.Logf("loaded in %s", time.Since(begin))
	for name, s := range w.stores {
		var sent, n int64
		for _, r := range s.Requests(t) {
			sent += r.Sent
			n++
		}
		t.Log(name, n, sent)
	}
	t.Log(w.proxy.Metric(t, "ociproxy_redirected_bytes_total"))
}
