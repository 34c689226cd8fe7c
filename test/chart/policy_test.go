package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// everyPod calls check for each pod of each example. The examples have all forms of the mirror.
func everyPod(t *testing.T, check func(t *testing.T, o, pod, metadata Object)) {
	t.Helper()
	for name, file := range Examples(t) {
		text, err := Template(t, file, nil)
		if err != nil {
			t.Fatal(err)
		}
		pods := 0
		for _, o := range Objects(t, text) {
			pod, metadata := o.Pod()
			if pod == nil {
				continue
			}
			pods++
			t.Run(name+"/"+o.String(), func(t *testing.T) { check(t, o, pod, metadata) })
		}
		if pods < 2 {
			t.Errorf("%s has %d pods", name, pods)
		}
	}
}

// TestOnlyClientsPortIsExposed: no way leads from outside of the cluster to the admin port, and the server learns the
// client's address.
func TestOnlyClientsPortIsExposed(t *testing.T) {
	exposed := with(Values{"exposure": Values{"type": "ingress", "hosts": []any{"a.example.org"}, "ingress": Values{"className": "nginx"}}})
	cases := map[string]func() (string, error){"ingress": func() (string, error) { return Template(t, "", exposed) }}
	for name, file := range Examples(t) {
		cases[name] = func() (string, error) { return Template(t, file, nil) }
	}
	for name, render := range cases {
		text, err := render()
		if err != nil {
			t.Fatal(err)
		}
		admin := Release + "-oci-proxy-admin"
		for _, o := range Objects(t, text) {
			switch o.Kind() {
			case "Service":
				if kind := o.Text("spec", "type"); o.Name() == admin && kind != "ClusterIP" {
					t.Errorf("%s: %s is of type %s", name, o, kind)
				}
				ports, _ := Get(o, "spec", "ports").([]any)
				if len(ports) != 1 || (asObject(ports[0]).Text("targetPort") == "admin") != (o.Name() == admin) {
					t.Errorf("%s: %s has the ports %v", name, o, ports)
				}
				if o.Text("spec", "type") == "LoadBalancer" && o.Text("spec", "externalTrafficPolicy") != "Local" {
					t.Errorf("%s: %s hides the client's address", name, o)
				}
			case "Ingress", "HTTPRoute":
				if strings.Contains(fmt.Sprint(o["spec"]), admin) {
					t.Errorf("%s: %s leads to the admin port", name, o)
				}
			case "NetworkPolicy":
				rules, _ := Get(o, "spec", "ingress").([]any)
				for _, rule := range rules {
					if port := asObject(rule).Text("ports", 0, "port"); port != "clients" && Get(rule, "from", 0) == nil {
						t.Errorf("%s: %s opens %s to everyone", name, o, port)
					}
				}
			}
		}
	}
}

var plainImage = regexp.MustCompile(`^[^\s:@]+(:\d+)?(/[^\s:@]+)*(:[\w.-]+|@sha256:[0-9a-f]{64})$`)

// TestPods checks each pod against the "restricted" policy of Kubernetes, and for what an operator on call needs.
func TestPods(t *testing.T) {
	everyPod(t, func(t *testing.T, o, pod, metadata Object) {
		want := func(value any, path ...any) {
			t.Helper()
			if got := Get(pod, path...); got != value {
				t.Errorf("%v is %v, want %v", path, got, value)
			}
		}
		want(false, "automountServiceAccountToken")
		want(true, "securityContext", "runAsNonRoot")
		want(65532, "securityContext", "runAsUser")
		want("RuntimeDefault", "securityContext", "seccompProfile", "type")
		for _, key := range []string{"hostNetwork", "hostPID", "hostIPC"} {
			want(nil, key)
		}
		containers, _ := pod["containers"].([]any)
		if len(containers) != 1 {
			t.Fatalf("%d containers", len(containers))
		}
		want(false, "containers", 0, "securityContext", "allowPrivilegeEscalation")
		want(true, "containers", 0, "securityContext", "readOnlyRootFilesystem")
		want("ALL", "containers", 0, "securityContext", "capabilities", "drop", 0)
		if image := pod.Text("containers", 0, "image"); !plainImage.MatchString(image) || strings.HasSuffix(image, ":latest") {
			t.Errorf("image %q", image)
		}
		for _, path := range [][]any{{"requests", "cpu"}, {"requests", "memory"}, {"limits", "memory"}} {
			if Get(pod, append([]any{"containers", 0, "resources"}, path...)...) == nil {
				t.Errorf("no %v", path)
			}
		}
		// A CPU limit would slow the server down while the node still has free CPU.
		want(nil, "containers", 0, "resources", "limits", "cpu")
		if o.Kind() == "Deployment" {
			for _, probe := range []string{"livenessProbe", "readinessProbe"} {
				if Get(pod, "containers", 0, probe) == nil {
					t.Errorf("no %s", probe)
				}
			}
		}
		for key, value := range asObject(Get(o, "spec", "selector", "matchLabels")) {
			if Get(metadata, "labels", key) != value {
				t.Errorf("its pods have no label %s: %v", key, value)
			}
		}
		mounted(t, pod)
	})
}

// mounted checks that the volumes fit their mounts, and that programs write only to volumes.
func mounted(t *testing.T, pod Object) {
	t.Helper()
	var volumes, used []string
	list, _ := pod["volumes"].([]any)
	for _, v := range list {
		volumes = append(volumes, asObject(v).Text("name"))
		if dir := asObject(Get(v, "emptyDir")); dir != nil && dir["sizeLimit"] == nil {
			t.Errorf("volume %v can fill the node's disk", v)
		}
		if Get(v, "hostPath") != nil {
			t.Errorf("volume %v is of the host", v)
		}
	}
	list, _ = Get(pod, "containers", 0, "volumeMounts").([]any)
	for _, m := range list {
		mount := asObject(m)
		used = append(used, mount.Text("name"))
		if mount["subPath"] != nil {
			t.Errorf("%v: Kubernetes never updates a subPath", mount)
		}
	}
	slices.Sort(volumes)
	slices.Sort(used)
	if !slices.Equal(volumes, used) {
		t.Errorf("volumes %v, mounts %v", volumes, used)
	}
}

// TestArguments: the programs have every command and flag that the manifests use.
func TestArguments(t *testing.T) {
	everyPod(t, func(t *testing.T, o, pod, _ Object) {
		program := ctl.Binary(t)
		if name, _, _ := strings.Cut(filepath.Base(pod.Text("containers", 0, "image")), "@"); strings.Split(name, ":")[0] == "oci-proxy" {
			program = proxy.Binary(t)
		}
		list, _ := Get(pod, "containers", 0, "args").([]any)
		var args []string
		for _, a := range list {
			args = append(args, a.(string))
		}
		out, code := run(t, program, append(args, "--help")...)
		if code != 0 || !strings.Contains(out, "Usage:") {
			t.Errorf("%s %v: exit code %d: %s", filepath.Base(program), args, code, out)
		}
	})
}

// TestConfigsPass: the check before an upgrade accepts each example's config. The server accepts the keys that the
// chart adds too: it gives only the warnings that are meant.
func TestConfigsPass(t *testing.T) {
	meant := []string{"operators' port listens on all interfaces", "which clients are in azure"}
	for name, file := range Examples(t) {
		t.Run(name, func(t *testing.T) {
			text, err := Template(t, file, nil)
			if err != nil {
				t.Fatal(err)
			}
			all := Objects(t, text)
			config := Find(t, all, "ConfigMap", Release+"-oci-proxy").Text("data", "config.yaml")
			if hook := Find(t, all, "ConfigMap", Release+"-oci-proxy-check").Text("data", "config.yaml"); hook != config {
				t.Error("the check gets another config than the server")
			}
			out, code := check(t, config)
			if code != 0 {
				t.Fatalf("exit code %d:\n%s", code, out)
			}
			for line := range strings.Lines(out) {
				if strings.Contains(line, "warning:") && !slices.ContainsFunc(meant, func(m string) bool { return strings.Contains(line, m) }) {
					t.Errorf("%s", line)
				}
			}
		})
	}
}

// check runs the check of a config, as the hook does. It does not read certificates, because they are in Secrets, and
// the test has none.
func check(t testing.TB, config string) (string, int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return run(t, proxy.Binary(t), "check", file, "--no-files")
}

// run runs a program to its end and returns its output and exit code.
func run(t testing.TB, program string, args ...string) (string, int) {
	t.Helper()
	p := parts.Start(t, parts.Spec{Path: program, Args: args, Quiet: true})
	code := p.Wait(t, parts.Ready)
	return p.Output.String(), code
}
