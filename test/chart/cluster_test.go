package chart

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/wait"
	"ociproxy/test/kube"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// cluster starts an API server that has the kinds of the examples.
func cluster(t *testing.T) *kube.Cluster {
	t.Helper()
	c := kube.Start(t)
	c.Define(t, "gateway-api", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml")
	c.Define(t, "prometheus-operator", "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
		"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
		"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml")
	// Google does not publish these kinds as a module, so the server only stores them.
	for _, k := range []string{"HealthCheckPolicy", "GCPBackendPolicy"} {
		plural := strings.TrimSuffix(strings.ToLower(k), "y") + "ies"
		c.DefineKind(t, map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
			"metadata": map[string]any{"name": plural + ".networking.gke.io", "annotations": map[string]any{"api-approved.kubernetes.io": "unapproved, for tests"}},
			"spec": map[string]any{
				"group": "networking.gke.io", "scope": "Namespaced", "names": map[string]any{"kind": k, "plural": plural},
				"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{
					"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
				}}},
			},
		})
	}
	return c
}

// TestKubeCluster: a real API server accepts every manifest, and install, upgrade, rollback and uninstall work on it.
// There is no kubelet, so the test runs the command of the hook's Job itself, on the ConfigMap that the Job mounts.
func TestKubeCluster(t *testing.T) {
	parts.Slow(t)
	parts.Find(t, "helm")
	c := cluster(t)
	for name, file := range Examples(t) {
		t.Run(name, func(t *testing.T) { lifecycle(t, c, name, file) })
	}
	t.Run("refused", func(t *testing.T) { refused(t, c) })
	t.Run("from the first release", func(t *testing.T) { fromFirst(t, c) })
	t.Run("base", func(t *testing.T) { base(t, c) })
}

// lifecycle installs an example, changes its config, rolls back, and uninstalls it.
func lifecycle(t *testing.T, c *kube.Cluster, namespace, file string) {
	c.Namespace(t, namespace)
	text, err := Template(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range Objects(t, text) {
		if err := c.Create(o, namespace, true); err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
	before := c.All(t, namespace)
	k := startKubelet(t, c, namespace)
	helm := func(args ...string) {
		t.Helper()
		if out, err := Helm(t, admin(c), append(args, "--namespace", namespace, "--timeout", "2m")...); err != nil {
			t.Fatal(err, out)
		}
	}
	helm("install", Release, Dir(), "--values", file)
	first := liveConfig(t, c, namespace, "")
	if got := liveConfig(t, c, namespace, "-fallback"); got != first {
		t.Errorf("the first fallback is not the first config:\n%s", cmp.Diff(first, got))
	}
	pods(t, c, namespace)
	second := WriteValues(t, Values{"config": Values{"deny": Values{"repositories": []any{"forbidden"}}}})
	helm("upgrade", Release, Dir(), "--values", file, "--values", second)
	changed := liveConfig(t, c, namespace, "")
	if !strings.Contains(changed, "forbidden") {
		t.Errorf("the upgrade left the config:\n%s", changed)
	}
	if got := liveConfig(t, c, namespace, "-fallback"); got != first {
		t.Errorf("the fallback is not the config before (-want +got):\n%s", cmp.Diff(first, got))
	}
	// An upgrade that changes something else keeps the fallback.
	helm("upgrade", Release, Dir(), "--values", file, "--values", second, "--set", "podAnnotations.again=yes")
	if got := liveConfig(t, c, namespace, "-fallback"); got != first {
		t.Errorf("the fallback is not the config before any more (-want +got):\n%s", cmp.Diff(first, got))
	}
	helm("rollback", Release, "1")
	if got := liveConfig(t, c, namespace, ""); got != first {
		t.Errorf("the rollback (-want +got):\n%s", cmp.Diff(first, got))
	}
	if n := k.stopped(); n != 3 {
		t.Errorf("the config was checked %d times, want 3: at the install and at both upgrades", n)
	}
	helm("uninstall", Release)
	if diff := cmp.Diff(before, c.All(t, namespace)); diff != "" {
		t.Errorf("left behind (-want +got):\n%s", diff)
	}
}

// admin returns the environment with which helm uses the cluster.
func admin(c *kube.Cluster) []string { return []string{"KUBECONFIG=" + c.Kubeconfig} }

// pods has the server validate the pods themselves, in a namespace with the "restricted" policy. The server accepts a
// Deployment even when no namespace accepts its pods.
func pods(t *testing.T, c *kube.Cluster, namespace string) {
	t.Helper()
	for _, kind := range [][2]string{{"apps/v1", "Deployment"}, {"batch/v1", "Job"}, {"batch/v1", "CronJob"}} {
		path, err := c.Path(kind[0], kind[1], namespace)
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.Do(http.MethodGet, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range list["items"].([]any) {
			o := asObject(item)
			o["kind"] = kind[1]
			spec, metadata := o.Pod()
			pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": spec,
				"metadata": map[string]any{"name": o.Name(), "labels": metadata["labels"]}}
			if err := c.Create(pod, namespace, true); err != nil {
				t.Errorf("pod of %s: %v", o, err)
			}
		}
	}
}

// refused: when a config has a fault that only the program finds, an upgrade fails and the config in use stays. An
// install fails too.
func refused(t *testing.T, c *kube.Cluster) {
	const namespace = "refused"
	c.Namespace(t, namespace)
	env := admin(c)
	good := Examples(t)["kind"]
	bad := WriteValues(t, Values{"config": Values{"route": Values{"pin": []any{Values{"cidr": "192.0.2.0/24", "to": []any{"nowhere"}}}}}})
	k := startKubelet(t, c, namespace)
	install := []string{"install", Release, Dir(), "--namespace", namespace, "--values", good}
	if out, err := Helm(t, env, append(install, "--values", bad)...); err == nil {
		t.Fatalf("installed: %s", out)
	}
	if out := k.last(); !strings.Contains(out, "nowhere") {
		t.Errorf("the check says\n%s", out)
	}
	if _, err := Helm(t, env, "uninstall", Release, "--namespace", namespace); err != nil {
		t.Fatal(err)
	}
	if _, err := Helm(t, env, install...); err != nil {
		t.Fatal(err)
	}
	before := liveConfig(t, c, namespace, "")
	if out, err := Helm(t, env, "upgrade", Release, Dir(), "--namespace", namespace, "--values", good, "--values", bad); err == nil {
		t.Fatalf("upgraded: %s", out)
	}
	if diff := cmp.Diff(before, liveConfig(t, c, namespace, "")); diff != "" {
		t.Errorf("the refused upgrade changed the config (-want +got):\n%s", diff)
	}
	// An operator who edits the ConfigMap without Helm skips the check, so that config does not become the fallback.
	path, err := c.Path("v1", "ConfigMap", namespace)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(http.MethodPatch, path+"/"+Release+"-oci-proxy", map[string]any{"data": map[string]any{"config.yaml": "broken"}}); err != nil {
		t.Fatal(err)
	}
	repaired := WriteValues(t, Values{"config": Values{"deny": Values{"repositories": []any{"forbidden"}}}})
	if _, err := Helm(t, env, "upgrade", Release, Dir(), "--namespace", namespace, "--values", good, "--values", repaired, "--force-conflicts"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, liveConfig(t, c, namespace, "-fallback")); diff != "" {
		t.Errorf("the fallback (-want +got):\n%s", diff)
	}
}

// fromFirst upgrades from the first chart, in the form in which it was released.
func fromFirst(t *testing.T, c *kube.Cluster) {
	const namespace = "first"
	c.Namespace(t, namespace)
	charts, err := filepath.Glob(filepath.Join("testdata", "oci-proxy-*.tgz"))
	if err != nil || len(charts) == 0 {
		t.Fatalf("no earlier chart: %v", err)
	}
	k := startKubelet(t, c, namespace)
	env := admin(c)
	before := c.All(t, namespace)
	for name, file := range Examples(t) {
		for _, chart := range append(charts, Dir()) {
			if _, err := Helm(t, env, "upgrade", "--install", Release, chart, "--namespace", namespace, "--values", file); err != nil {
				t.Fatalf("%s, %s: %v", name, chart, err)
			}
		}
		if _, err := Helm(t, env, "uninstall", Release, "--namespace", namespace); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, c.All(t, namespace)); diff != "" {
			t.Errorf("%s: left behind (-want +got):\n%s", name, diff)
		}
	}
	k.stopped()
}

func liveConfig(t *testing.T, c *kube.Cluster, namespace, suffix string) string {
	t.Helper()
	path, err := c.Path("v1", "ConfigMap", namespace)
	if err != nil {
		t.Fatal(err)
	}
	o, err := c.Do(http.MethodGet, path+"/"+Release+"-oci-proxy"+suffix, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Object(o).Text("data", "config.yaml")
}

// kubelet runs the Jobs of helm's hooks and reports how they ended.
type kubelet struct {
	t         *testing.T
	c         *kube.Cluster
	namespace string

	stop func()
	done chan struct{}

	mu   sync.Mutex
	runs []string // output of each Job
}

func startKubelet(t *testing.T, c *kube.Cluster, namespace string) *kubelet {
	t.Helper()
	stopping := make(chan struct{})
	k := &kubelet{t: t, c: c, namespace: namespace, done: make(chan struct{}), stop: sync.OnceFunc(func() { close(stopping) })}
	go func() {
		defer close(k.done)
		for {
			if err := k.turn(); err != nil {
				t.Errorf("jobs in %s: %v", namespace, err)
				return
			}
			select {
			case <-stopping:
				return
			default:
				if wait.For(t.Context(), 50*time.Millisecond) != nil {
					return
				}
			}
		}
	}()
	t.Cleanup(func() { k.stopped() })
	return k
}

// stopped ends the work and returns how many Jobs ran.
func (k *kubelet) stopped() int {
	k.stop()
	<-k.done
	return len(k.runs)
}

func (k *kubelet) last() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.runs[len(k.runs)-1]
}

// turn runs each new Job that belongs to a hook.
func (k *kubelet) turn() error {
	path, err := k.c.Path("batch/v1", "Job", k.namespace)
	if err != nil {
		return err
	}
	list, err := k.c.Do(http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	for _, item := range list["items"].([]any) {
		job := asObject(item)
		job["kind"] = "Job" // lists do not give the kind of each item
		if job.Hook() == "" || Get(job, "status", "conditions") != nil {
			continue
		}
		out, code, err := k.run(job)
		if err != nil {
			return err
		}
		k.mu.Lock()
		k.runs = append(k.runs, out)
		k.mu.Unlock()
		if _, err := k.c.Do(http.MethodPatch, path+"/"+job.Name()+"/status", map[string]any{"status": status(code)}); err != nil {
			return err
		}
	}
	return nil
}

// run runs the command of a Job's container. Directories take the place of its ConfigMaps.
func (k *kubelet) run(job Object) (string, int, error) {
	pod, _ := job.Pod()
	list, _ := Get(pod, "containers", 0, "args").([]any)
	var args []string
	for _, a := range list {
		args = append(args, a.(string))
	}
	path, err := k.c.Path("v1", "ConfigMap", k.namespace)
	if err != nil {
		return "", 0, err
	}
	volumes, _ := pod["volumes"].([]any)
	mounts, _ := Get(pod, "containers", 0, "volumeMounts").([]any)
	for _, v := range volumes {
		volume := asObject(v)
		at := slices.IndexFunc(mounts, func(m any) bool { return asObject(m).Text("name") == volume.Text("name") })
		if volume.Text("secret", "secretName") != "" {
			args = append(args, "--no-files") // the test has no certificate
			continue
		}
		data, err := k.c.Do(http.MethodGet, path+"/"+volume.Text("configMap", "name"), nil)
		if err != nil && Get(volume, "configMap", "optional") == true {
			continue
		}
		if err != nil {
			return "", 0, err
		}
		dir := k.t.TempDir()
		for name, text := range asObject(data["data"]) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text.(string)), 0o600); err != nil {
				return "", 0, err
			}
		}
		for i, arg := range args {
			args[i] = strings.ReplaceAll(arg, asObject(mounts[at]).Text("mountPath"), dir)
		}
	}
	if image := pod.Text("containers", 0, "image"); !strings.Contains(image, "/oci-proxy") {
		return "", 0, fmt.Errorf("a hook runs %s", image)
	}
	out, code := run(k.t, proxy.Binary(k.t), args...)
	return out, code, nil
}

// status returns the status that the Job controller gives a Job whose only pod ended with an exit code.
func status(code int) map[string]any {
	now := time.Now().UTC().Format(time.RFC3339)
	condition := func(kind string) map[string]any {
		return map[string]any{"type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now, "reason": "Test"}
	}
	if code == 0 {
		return map[string]any{"startTime": now, "completionTime": now, "succeeded": 1,
			"conditions": []any{condition("SuccessCriteriaMet"), condition("Complete")}}
	}
	return map[string]any{"startTime": now, "failed": 1, "conditions": []any{condition("FailureTarget"), condition("Failed")}}
}
