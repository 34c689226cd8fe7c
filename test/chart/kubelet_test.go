package chart

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ociproxy/test/kube"
	"ociproxy/test/parts"
	"ociproxy/test/registry"
)

// TestKubePod installs the chart on a whole cluster of one node: API server, controllers, scheduler, kube-proxy, and a
// kubelet with containerd and runc. The kubelet runs the project's image, with the chart's probes.
func TestKubePod(t *testing.T) {
	parts.Slow(t)
	for _, name := range []string{"kube-apiserver", "etcd", "kubernetes/kube-controller-manager", "kubernetes/kube-scheduler",
		"kubernetes/kube-proxy", "kubernetes/kubelet",
		"containerd", "runc", "ptp", "nft", "dnsmasq", "registry", "versitygw", "crane", "helm"} {
		parts.Find(t, name)
	}
	if !parts.Apart(t, 10*time.Minute, podEnv(t)) {
		return
	}
	w := &node{podWorld: newPodWorld(t), c: kube.Start(t)}
	w.c.Controllers(t)
	w.c.Node(t, w.daemon.Socket)
	w.c.Namespace(t, Namespace)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"install", w.install}, {"confined", w.confined}, {"pull", func(t *testing.T) { w.pull(t, w.service+":80") }}, {"helm test", w.helmTest}, {"reload", w.reload},
		{"refused", w.refused}, {"drain", w.drain}, {"restart", w.restart}, {"uninstall", w.uninstall},
	} {
		if !t.Run(step.name, step.run) {
			return // the next ones need it
		}
	}
}

// node is a cluster of one node on which the chart is installed.
type node struct {
	*podWorld
	c       *kube.Cluster
	service string // address of the Service
}

// helm runs a command on the release, with the values and more ones of the config.
func (w *node) helm(t *testing.T, command string, more Values) (string, error) {
	t.Helper()
	args := []string{command, Release}
	if command == "install" || command == "upgrade" {
		args = append(args, Dir(), "--values", WriteValues(t, w.values), "--values", WriteValues(t, Values{"config": more}), "--wait")
	}
	return Helm(t, admin(w.c), append(args, "--namespace", Namespace, "--timeout", "3m")...)
}

func (w *node) get(t *testing.T, version, kind, name string) Object {
	t.Helper()
	path, err := w.c.Path(version, kind, Namespace)
	if err != nil {
		t.Fatal(err)
	}
	o, err := w.c.Do(http.MethodGet, path+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// pods returns the server's pods that are not being deleted, in the order of their names.
func (w *node) pods(t *testing.T) []Object {
	t.Helper()
	var all []Object
	list := w.get(t, "v1", "Pod", "?labelSelector=app.kubernetes.io/component=server")
	for _, item := range list["items"].([]any) {
		if o := asObject(item); o.Text("metadata", "deletionTimestamp") == "" {
			all = append(all, o)
		}
	}
	return all
}

// install: the check of the config runs as a Job, then the kubelet pulls the image and finds both pods ready.
func (w *node) install(t *testing.T) {
	if out, err := w.helm(t, "install", nil); err != nil {
		t.Fatal(err, out, w.describe(t))
	}
	pods := w.pods(t)
	if len(pods) != 2 {
		t.Fatalf("%d pods", len(pods))
	}
	for _, pod := range pods {
		ready := false
		conditions, _ := Get(pod, "status", "conditions").([]any)
		for _, c := range conditions {
			ready = ready || asObject(c).Text("type") == "Ready" && asObject(c).Text("status") == "True"
		}
		if !ready || Get(pod, "status", "containerStatuses", 0, "restartCount") != 0. {
			t.Errorf("%s: %v", pod.Name(), pod["status"])
		}
	}
	w.service = w.get(t, "v1", "Service", "/"+Release+"-oci-proxy").Text("spec", "clusterIP")
}

// describe says how the pods are and what happened to them.
func (w *node) describe(t *testing.T) string {
	t.Helper()
	var all []string
	for _, item := range w.get(t, "v1", "Pod", "")["items"].([]any) {
		all = append(all, fmt.Sprint(asObject(item).Name(), ": ", asObject(item)["status"]))
	}
	for _, item := range w.get(t, "v1", "Event", "")["items"].([]any) {
		all = append(all, asObject(item).Text("involvedObject", "name")+": "+asObject(item).Text("message"))
	}
	return strings.Join(all, "\n")
}

// confined: the process of each pod has no rights that it does not need.
func (w *node) confined(t *testing.T) {
	for _, pod := range w.pods(t) {
		confinedPod(t, process(t, pod))
	}
}

// process returns the directory below /proc of the server of a pod.
func process(t *testing.T, pod Object) string {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range lines {
		line, err := os.ReadFile(file)
		groups, err2 := os.ReadFile(filepath.Join(filepath.Dir(file), "cgroup"))
		if err == nil && err2 == nil && strings.HasPrefix(string(line), "/usr/local/bin/oci-proxy\x00serve") &&
			strings.Contains(string(groups), "pod"+pod.Text("metadata", "uid")) {
			return filepath.Dir(file)
		}
	}
	t.Fatalf("%s has no process", pod.Name())
	return ""
}

// helmTest: the pod of `helm test` finds the Service by its name, and pulls through it. dnsmasq stands in for the DNS of a
// cluster.
func (w *node) helmTest(t *testing.T) {
	name := Release + "-oci-proxy." + Namespace + ".svc.cluster.local"
	parts.Start(t, parts.Spec{Path: parts.Find(t, "dnsmasq"), Args: []string{"--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=",
		"--user=root", "--no-resolv", "--no-hosts", "--bind-interfaces", "--listen-address=" + parts.Host(), "--host-record=" + name + "," + w.service},
		Ready: parts.Dial("tcp", net.JoinHostPort(parts.Host(), "53"))})
	mark := w.upstream.Mark()
	if out, err := w.helm(t, "test", nil); err != nil {
		t.Fatal(err, out, w.describe(t))
	}
	if !slices.ContainsFunc(w.upstream.Since(mark), func(a registry.Access) bool { return strings.Contains(a.Path, "/library/app/manifests/") }) {
		t.Errorf("the upstream was not asked: %v", w.upstream.Since(mark))
	}
}

// denied has another value in the config than the first release.
var denied = Values{"deny": Values{"repositories": []any{"forbidden"}}}

// reload: an upgrade that changes the config reaches the pods, which neither restart nor are replaced.
func (w *node) reload(t *testing.T) {
	before := w.pods(t)
	if out, err := w.helm(t, "upgrade", denied); err != nil {
		t.Fatal(err, out, w.describe(t))
	}
	hash := w.get(t, "v1", "ConfigMap", "/"+Release+"-oci-proxy").Text("metadata", "annotations", "oci-proxy/sha256")
	for _, pod := range before {
		parts.Poll(t, 3*time.Minute, pod.Name()+" has the new config", func() error {
			return configHash(t.Context(), "http://"+net.JoinHostPort(pod.Text("status", "podIP"), "9090")+"/metrics", hash)
		})
		if status, _, err := fetch(t.Context(), podURL(pod, "/v2/forbidden/manifests/v1")); status != http.StatusForbidden {
			t.Errorf("%s: a denied repository: %d, %v", pod.Name(), status, err)
		}
	}
	for i, pod := range w.pods(t) {
		if pod.Text("metadata", "uid") != before[i].Text("metadata", "uid") || Get(pod, "status", "containerStatuses", 0, "restartCount") != 0. {
			t.Errorf("%s restarted: %v", pod.Name(), pod["status"])
		}
	}
}

func podURL(pod Object, path string) string {
	return "http://" + net.JoinHostPort(pod.Text("status", "podIP"), "8080") + path
}

// refused: an upgrade to a config with a fault fails, and helm prints what the check's pod said.
func (w *node) refused(t *testing.T) {
	bad := Values{"route": Values{"pin": []any{Values{"cidr": "192.0.2.0/24", "to": []any{"nowhere"}}}}}
	out, err := w.helm(t, "upgrade", bad)
	if err == nil || !strings.Contains(out+err.Error(), "nowhere") {
		t.Errorf("it says %v\n%s", err, out)
	}
}

// drain: a pod that is deleted says at once that it is not ready, answers until its drain is over, and ends by itself.
func (w *node) drain(t *testing.T) {
	pod := w.pods(t)[0]
	path, err := w.c.Path("v1", "Pod", Namespace)
	if err != nil {
		t.Fatal(err)
	}
	path += "/" + pod.Name()
	// With a finalizer the API server keeps the pod, with how it ended.
	finalizers := func(list ...any) {
		t.Helper()
		if _, err := w.c.Do(http.MethodPatch, path, map[string]any{"metadata": map[string]any{"finalizers": list}}); err != nil {
			t.Fatal(err)
		}
	}
	finalizers("example.org/look")
	defer finalizers()
	if _, err := w.c.Do(http.MethodDelete, path, nil); err != nil {
		t.Fatal(err)
	}
	drains(t, podURL(pod, ""))
	parts.Poll(t, 2*podGrace, "the end", func() error {
		ended := asObject(Get(w.get(t, "v1", "Pod", "/"+pod.Name()), "status", "containerStatuses", 0, "state", "terminated"))
		if ended == nil {
			return errors.New("it runs")
		}
		if ended["exitCode"] != 0. || ended.Text("reason") != "Completed" {
			t.Errorf("it ended with %v", ended)
		}
		return nil
	})
}

// restart: all pods are replaced while clients send requests to the Service. None of the requests fails.
func (w *node) restart(t *testing.T) {
	before := w.pods(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients sync.WaitGroup
	var sent [4]int
	for i := range sent {
		clients.Go(func() {
			for ctx.Err() == nil {
				status, _, err := fetch(ctx, "http://"+w.service+"/v2/library/app/manifests/v1")
				if ctx.Err() == nil && status != http.StatusOK {
					t.Errorf("request %d: %d, %v", sent[i], status, err)
					return
				}
				sent[i]++
			}
		})
	}
	path, err := w.c.Path("apps/v1", "Deployment", Namespace)
	if err != nil {
		t.Fatal(err)
	}
	template := map[string]any{"metadata": map[string]any{"annotations": map[string]any{"kubectl.kubernetes.io/restartedAt": "now"}}}
	if _, err := w.c.Do(http.MethodPatch, path+"/"+Release+"-oci-proxy", map[string]any{"spec": map[string]any{"template": template}}); err != nil {
		t.Fatal(err)
	}
	parts.Poll(t, 3*time.Minute, "new pods", func() error {
		list := w.get(t, "v1", "Pod", "?labelSelector=app.kubernetes.io/component=server")["items"].([]any)
		for _, item := range list {
			if slices.ContainsFunc(before, func(o Object) bool { return o.Name() == asObject(item).Name() }) {
				return fmt.Errorf("%s is there", asObject(item).Name())
			}
		}
		return nil
	})
	cancel()
	clients.Wait()
	t.Log("requests:", sent)
	if slices.Min(sent[:]) < 10 {
		t.Error("too few requests")
	}
}

// uninstall: the pods drain and end.
func (w *node) uninstall(t *testing.T) {
	if out, err := w.helm(t, "uninstall", nil); err != nil {
		t.Fatal(err, out)
	}
	parts.Poll(t, 2*podGrace, "the end of the pods", func() error {
		for _, item := range w.get(t, "v1", "Pod", "?labelSelector=app.kubernetes.io/component=server")["items"].([]any) {
			return fmt.Errorf("%s is there", asObject(item).Name())
		}
		return nil
	})
}
