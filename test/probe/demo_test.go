package probe_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
)

// TestSlowDemo probes the demo as all its clients, with the command that its guide prints.
func TestSlowDemo(t *testing.T) {
	parts.Slow(t)
	var guide struct{ Proxy, Config, Key, Image string }
	p := parts.Start(t, parts.Spec{
		Path: parts.Build(t, "oci-proxy-demo", "OCIPROXY_DEMO_BINARY"), Args: []string{"--idle", "--listen", "127.0.0.1:0", "--output", "json"},
	})
	parts.Poll(t, parts.Ready, "the demo's guide", func() error {
		for _, line := range p.Output.Since(0) {
			if json.Unmarshal([]byte(line), &guide) == nil && guide.Key != "" {
				return nil
			}
		}
		return fmt.Errorf("no guide")
	})
	name, image, _ := strings.Cut(guide.Image, "/")
	ran := ctl.Run(t, ctl.Limit, nil, "probe", name, "--config", guide.Config, "--identity", guide.Key, "--image", image,
		"--max-rate", "50", "--output", "json")
	var r report
	if err := json.Unmarshal([]byte(ran.Stdout), &r); err != nil {
		t.Fatalf("%v\n%s", err, ran)
	}
	if bad := r.bad(); len(bad) > 0 || ran.Code != 0 || len(r.Classes) < 10 {
		t.Errorf("as %q: %+v\n%s", r.Classes, bad, ran)
	}
	t.Logf("%d classes: %d requests, %d bytes, %.1f s", len(r.Classes), r.Cost.Requests, r.Cost.Bytes, r.Cost.Seconds)
}
