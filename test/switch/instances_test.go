package switch_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/prometheus"
	"ociproxy/test/proxy"
)

// follow publishes a config of its own to a ring of the present deployment, and starts an instance on it.
func (w *world) follow(t *testing.T, deployment, ring string) (*proxy.Proxy, proxy.Config) {
	t.Helper()
	c := proxy.Config{"upstreams": proxy.List{
		proxy.Map{"name": "main", "url": "https://main.invalid", "place": "gcp/us-central1", "canonical": true},
		proxy.Map{"name": "copy", "url": "https://copy.invalid", "place": "aws/us-east-1"},
	}}.Defaults(t)
	w.put(t, c, ring)
	return proxy.StartFile(t, "http://"+w.bucket.Addr+"/blobs/"+deployment+"/", c,
		"OCI_PROXY_DEPLOYMENT="+deployment, "OCI_PROXY_RING="+ring, "OCI_PROXY_CONFIG_KEYS="+w.public["root"]), c
}

// put publishes a config to a ring.
func (w *world) put(t *testing.T, c proxy.Config, ring string) {
	t.Helper()
	c.Write(t, w.file("put.yaml"))
	w.run(t, 0, "config", "publish", w.file("put.yaml"), "--ring", ring, "--key", w.file("ci.key"), "--why", "test")
}

// status is what the tests read of config status.
type status struct {
	Rings []struct {
		Ring              string
		Instances, Behind int
	}
	Instances []struct {
		Name, Ring string
		Generation int
	}
	Attention []string
}

// TestInstances: config status and --wait count the instances of their deployment, as Prometheus knows them, and no
// other: one of the sandbox, which has the same ring, and one that reads a file, are scraped too.
func TestInstances(t *testing.T) {
	parts.Find(t, "prometheus")
	w := newWorld(t)
	w.deployment(t, "sandbox")
	sandbox, _ := w.follow(t, "sandbox", "all")
	w.deployment(t, "prod2")
	canary, config := w.follow(t, "prod2", "canary")
	all, _ := w.follow(t, "prod2", "all")
	file := proxy.Start(t, proxy.Config{"upstreams": config["upstreams"]})
	var targets []prometheus.Target
	for _, p := range []*proxy.Proxy{sandbox, canary, all, file} {
		targets = append(targets, prometheus.Target{Addr: p.Admin})
	}
	server := prometheus.Start(t, 500*time.Millisecond, targets...)
	server.Wait(t, parts.Ready, "count(ociproxy_config_info) == 4")
	server.Wait(t, parts.Ready, "count(max_over_time(timestamp(ociproxy_config_info)[1m:3s])) == 4") // seen by the command, which looks in steps
	at := []string{"--prometheus", server.URL, "--seen-within", "1m"}
	read := func(more ...string) (status, int) {
		r := ctl.Run(t, ctl.Limit, w.env, append(append([]string{"config", "status", "-o", "json"}, at...), more...)...)
		return ctl.Decode[status](t, r.Stdout), r.Code
	}
	s, code := read()
	if code != 0 || len(s.Instances) != 2 || s.Instances[0].Name != all.Admin || s.Instances[1].Name != canary.Admin || s.Rings[0].Instances != 1 || s.Rings[1].Instances != 1 {
		t.Fatalf("exit code %d: %+v", code, s)
	}
	if r := w.run(t, 0, append([]string{"config", "status"}, at...)...); strings.Count(r.Stdout, "1 of 1") != 2 {
		t.Error(r)
	}

	// One that does not answer is behind until Prometheus has not seen it for a while.
	canary.Signal(t, syscall.SIGSTOP)
	w.put(t, config.With(proxy.Map{"pages": proxy.Map{"home": "https://example.org/2"}}), "canary")
	s, code = read()
	if want := fmt.Sprintf("instance %s of the ring canary has generation 1, not 3", canary.Admin); code != 4 || s.Rings[1].Behind != 1 || len(s.Attention) != 1 || s.Attention[0] != want {
		t.Errorf("exit code %d: %+v", code, s)
	}
	parts.Poll(t, parts.Ready, "the stopped instance counts no more", func() error {
		if s, _ := read("--seen-within", "2s"); len(s.Instances) != 1 || s.Instances[0].Name != all.Admin {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	r := ctl.Run(t, ctl.Limit, w.env, append([]string{"store", "drain", "copy", "--why", "test", "--key", w.file("oncall.key"), "--wait", "2s"}, at...)...)
	if r.Code != 5 || !strings.Contains(r.Stderr, canary.Admin) {
		t.Error(r)
	}
	canary.Signal(t, syscall.SIGCONT)

	// --wait ends as soon as both follow.
	for _, what := range []string{"off", "on"} {
		w.quick(t, []*proxy.Proxy{canary, all}, append([]string{"store", what, "copy", "--why", "test", "--key", w.file("oncall.key"), "--wait", "2m"}, at...)...)
	}
	if s, code := read(); code != 0 || s.Rings[1].Behind != 0 || len(s.Instances) != 2 {
		t.Errorf("exit code %d: %+v", code, s)
	}
}

// quick runs a command that waits for instances. They are told to look at once, so that the test is short.
func (w *world) quick(t *testing.T, instances []*proxy.Proxy, args ...string) {
	t.Helper()
	waiting := ctl.Start(t, w.env, args...)
	done := make(chan ctl.Ran, 1)
	go func() { done <- waiting.Wait(t, ctl.Limit) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case r := <-done:
			if r.Code != 0 || !strings.Contains(r.Stderr, "every instance follows") {
				t.Errorf("%v: %v", args, r)
			}
			return
		case <-tick.C:
			for _, p := range instances {
				p.Signal(t, syscall.SIGHUP)
			}
		}
	}
}
