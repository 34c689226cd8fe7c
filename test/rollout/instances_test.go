package rollout

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/parts"
	"ociproxy/test/prometheus"
	"ociproxy/test/proxy"
)

// The deployments.
const (
	sandbox    = "sandbox"
	production = "production"
)

// instance is one server of a deployment, with a network of its own.
type instance struct {
	name, deployment, ring string
	addr                   string // of its end of the link
	mu                     sync.Mutex
	process                *parts.Process
}

// fleet returns the instances of the world, which do not run yet.
func fleet() []*instance {
	list := []*instance{
		{name: "sandbox-1", deployment: sandbox, ring: "all"},
		{name: "canary-1", deployment: production, ring: "canary"},
		{name: "early-1", deployment: production, ring: "early"},
		{name: "all-1", deployment: production, ring: "all"},
		{name: "all-2", deployment: production, ring: "all"},
	}
	for n, i := range list {
		i.addr = fmt.Sprintf("10.77.%d.2", n+1)
	}
	return list
}

// wire makes the network of the instance: a link to this machine, through which it reaches everything.
func (i *instance) wire(t *testing.T) {
	t.Helper()
	near, link := strings.TrimSuffix(i.addr, "2")+"1", "v-"+i.name
	run(t, "ip", "netns", "add", i.name)
	run(t, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", i.name)
	run(t, "ip", "address", "add", near+"/24", "dev", link)
	run(t, "ip", "link", "set", link, "up")
	run(t, "ip", "-n", i.name, "address", "add", i.addr+"/24", "dev", "eth0")
	run(t, "ip", "-n", i.name, "link", "set", "eth0", "up")
	run(t, "ip", "-n", i.name, "link", "set", "lo", "up")
	run(t, "ip", "-n", i.name, "route", "add", "default", "via", near)
}

// serve starts the instance with the arguments of `oci-proxy serve`, and waits until it is ready.
func (w *world) serve(t *testing.T, i *instance, args ...string) {
	t.Helper()
	p := parts.Start(t, parts.Spec{
		Path: parts.Find(t, "ip"), Args: append([]string{"netns", "exec", i.name, proxy.Binary(t), "serve"}, args...),
		Env: []string{w.authority.Trust()}, Ready: parts.HTTP("http://"+i.addr+":8080/-/ready", http.StatusOK), Abrupt: true,
	})
	i.mu.Lock()
	defer i.mu.Unlock()
	i.process = p
}

// hangup makes the instance ask at once what is published.
func (i *instance) hangup() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process != nil && i.process.Running() {
		_ = syscall.Kill(i.process.PID(), syscall.SIGHUP) // it may end just now
	}
}

// kill ends the instance as a crash of its machine does.
func (i *instance) kill(t *testing.T) {
	t.Helper()
	i.process.Signal(t, os.Kill)
	i.process.Wait(t, time.Minute)
}

// instance returns the instance with the name.
func (w *world) instance(name string) *instance {
	for _, i := range w.instances {
		if i.name == name {
			return i
		}
	}
	panic("no instance " + name)
}

// watch starts Prometheus, which scrapes the instances of production, and haproxy.
func (w *world) watch(t *testing.T) {
	t.Helper()
	targets := []prometheus.Target{{Addr: parts.Host() + ":8404", Job: "haproxy"}}
	for _, i := range w.instances {
		if i.deployment != production {
			continue // config status counts every instance that the Prometheus knows: each deployment has its own
		}
		targets = append(targets, prometheus.Target{Addr: i.addr + ":9090", Job: "oci-proxy", Labels: map[string]string{"deployment": i.deployment}})
	}
	w.prometheus = prometheus.Start(t, time.Second, targets...)
}

// metric returns the lines of a metric that have all the labels, as text.
func (i *instance) metric(name string, labels ...string) ([]string, error) {
	client := &http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + i.addr + ":9090/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var out []string
lines:
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || !strings.HasPrefix(rest, "{") && !strings.HasPrefix(rest, " ") {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue lines
			}
		}
		out = append(out, strings.TrimSpace(line))
	}
	return out, nil
}

// has returns nil if the instance has a series of the metric with the labels and the value.
func (i *instance) has(value, name string, labels ...string) error {
	lines, err := i.metric(name, labels...)
	if err != nil {
		return err
	}
	for _, line := range lines {
		if strings.HasSuffix(line, " "+value) {
			return nil
		}
	}
	return fmt.Errorf("%s: no %s %v %s, but %q", i.name, name, labels, value, lines)
}

// lastGood is the directory of the instance's last good copies.
func (w *world) lastGood(i *instance) string { return filepath.Join(w.dir, "last-good", i.name) }
