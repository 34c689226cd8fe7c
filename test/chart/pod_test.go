package chart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"ociproxy/test/clients"
	"ociproxy/test/containerd"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
)

// TestSlowPod runs the pods of the chart from the project's image, over CRI on containerd and runc. The test does the
// work of a kubelet: it writes the volumes and asks what the probes ask.
func TestSlowPod(t *testing.T) {
	parts.Slow(t)
	for _, name := range []string{"containerd", "runc", "ptp", "ip", "registry", "versitygw", "crane", "helm"} {
		parts.Find(t, name)
	}
	if !parts.Apart(t, 5*time.Minute, podEnv(t)) {
		return
	}
	w := newPodWorld(t)
	p := &criPods{podWorld: w, objects: w.template(t, w.values)}
	check := p.run(t, "Job", "-check")
	if code := check.exit(t); code != 0 {
		t.Fatalf("the check of the config: exit code %d\n%s", code, check.Log())
	}
	server := p.run(t, "Deployment", "")
	server.probe(t, "startupProbe")
	server.probe(t, "readinessProbe")
	server.probe(t, "livenessProbe")
	t.Run("confined", func(t *testing.T) { confinedPod(t, server.Proc(t)) })
	t.Run("pull", func(t *testing.T) { w.pull(t, net.JoinHostPort(server.IP, "8080")) })
	t.Run("helm test", func(t *testing.T) { p.helmTest(t, server) })
	t.Run("reload", func(t *testing.T) { p.reload(t, server) })
	t.Run("drain", func(t *testing.T) { p.drain(t, server) })
}

const (
	podVersion = "v1.2.3-pod"
	podDrain   = 15 * time.Second
	podGrace   = podDrain + 10*time.Second // as the chart sets it
)

// podEnv returns what makes the images of pods: the server's, in an OCI layout, and the program that holds the
// namespaces of a pod.
func podEnv(t *testing.T) func() []string {
	return func() []string {
		dist := t.TempDir()
		cmd := exec.CommandContext(t.Context(), "make", "image", "DIST="+dist, "SEED=none", "PROGRAMS=oci-proxy", "VERSION="+podVersion,
			"PLATFORMS=linux/"+runtime.GOARCH)
		cmd.Dir = parts.Root()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make image: %v\n%s", err, out)
		}
		return []string{"POD_IMAGE=" + filepath.Join(dist, "image", "oci-proxy"), "POD_PAUSE=" + containerd.BuildPause(t)}
	}
}

// podWorld is what pods of the chart need. All of it listens on an address that pods reach.
type podWorld struct {
	upstream *registry.Registry
	store    *s3.Store
	img      *image.Image
	daemon   *containerd.Daemon
	values   Values
}

func newPodWorld(t *testing.T) *podWorld {
	t.Helper()
	w := &podWorld{upstream: registry.Start(t), store: s3.Start(t, "us-east-1"), img: image.New(t, 7, 20<<10, 300<<10)}
	w.img.Push(t, w.upstream.Addr, "library/app", "v1")
	for _, b := range w.img.Arch["amd64"].Blobs {
		w.store.Put(t, b.Digest, b.Read(t))
	}
	clients.Crane(t, "push", os.Getenv("POD_IMAGE"), w.upstream.Addr+"/tools/oci-proxy:"+podVersion)
	pause := w.upstream.Addr + "/tools/pause:v1"
	image.PushProgram(t, pause, os.Getenv("POD_PAUSE"))
	w.daemon = containerd.StartForPods(t, pause)
	w.daemon.Mirror(t, w.upstream.Addr, w.upstream.Addr)
	w.values = Values{
		"image": Values{"repository": w.upstream.Addr + "/tools/oci-proxy", "tag": podVersion},
		"config": Values{
			"version": 1, "location": "aws/us-east-1",
			"ranges": Values{"overrides": []any{
				Values{"cidr": containerd.PodSubnet, "place": "aws/us-east-1"}, Values{"cidr": parts.Host() + "/32", "place": "aws/us-east-1"},
			}},
			"upstreams": []any{Values{"name": "main", "url": w.upstream.URL, "place": "gcp/us-central1", "canonical": true, "insecure": true}},
			"stores":    []any{Values{"name": "s3", "place": "aws/us-east-1", "url": w.store.URL, "serves": []any{"aws"}, "insecure": true}},
			"limits":    Values{"drain": podDrain.String(), "checkTimeout": "5s"},
		},
		"test": Values{"image": "library/app:v1"},
	}
	return w
}

func (w *podWorld) template(t *testing.T, values Values) []Object {
	t.Helper()
	text, err := Template(t, "", values)
	if err != nil {
		t.Fatal(err)
	}
	return Objects(t, text)
}

// pull: crane pulls through the server at addr, and gets the blobs from the store.
func (w *podWorld) pull(t *testing.T, addr string) {
	t.Helper()
	mark := w.store.Mark()
	clients.CranePull(t, addr+"/library/app:v1", "linux/amd64")
	got := map[string]bool{}
	for _, a := range w.store.Since(mark) {
		if a.Operation == "GetObject" && a.Status < 300 && !strings.HasPrefix(a.Agent, "oci-proxy") {
			got[a.Digest] = true
		}
	}
	if want := len(w.img.Arch["amd64"].Blobs); len(got) != want {
		t.Errorf("the store sent %d blobs to clients, want %d", len(got), want)
	}
}

// confinedPod checks by the server's directory below /proc that it has no rights, a filter of system calls, a read-only
// root, and no token.
func confinedPod(t *testing.T, dir string) {
	t.Helper()
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`Uid:\t65532\t65532\t65532\t65532`, `Gid:\t65532\t65532\t65532\t65532`, `CapPrm:\t0+`, `CapEff:\t0+`, `CapBnd:\t0+`,
		`NoNewPrivs:\t1`, `Seccomp:\t2`,
	} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).Match(status) {
			t.Errorf("the process lacks %q:\n%s", want, status)
		}
	}
	mounts, err := os.ReadFile(filepath.Join(dir, "mountinfo"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^\d+ \d+ \S+ \S+ / ro,`).Match(mounts) {
		t.Errorf("the root is not read-only:\n%s", mounts)
	}
	if strings.Contains(string(mounts), "serviceaccount") {
		t.Errorf("it has a token:\n%s", mounts)
	}
}

// fetch sends a request on a connection of its own.
func fetch(ctx context.Context, url string) (status int, text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

// criPods runs the pods of rendered manifests.
type criPods struct {
	*podWorld
	objects []Object
}

// criPod is a pod that runs.
type criPod struct {
	*containerd.Pod
	spec    Object
	volumes map[string]string // directories by name
}

// run runs the pod of an object. suffix ends its name.
func (p *criPods) run(t *testing.T, kind, suffix string) *criPod {
	t.Helper()
	spec, _ := Find(t, p.objects, kind, Release+"-oci-proxy"+suffix).Pod()
	pod := &criPod{spec: spec, volumes: map[string]string{}}
	volumes, _ := spec["volumes"].([]any)
	for _, v := range volumes {
		dir := t.TempDir()
		if err := errors.Join(os.Chmod(dir, 0o2777), os.Chown(dir, -1, number(Get(spec, "securityContext", "fsGroup")))); err != nil {
			t.Fatal(err)
		}
		pod.volumes[asObject(v).Text("name")] = dir
		if name := asObject(v).Text("configMap", "name"); name != "" {
			writeVolume(t, dir, Find(t, p.objects, "ConfigMap", name))
		}
	}
	container := asObject(Get(spec, "containers", 0))
	config := &cri.ContainerConfig{Image: &cri.ImageSpec{Image: container.Text("image")}, Args: texts(container["args"])}
	envs, _ := container["env"].([]any)
	for _, e := range envs {
		config.Envs = append(config.Envs, &cri.KeyValue{Key: asObject(e).Text("name"), Value: []byte(asObject(e).Text("value"))})
	}
	mounts, _ := container["volumeMounts"].([]any)
	for _, m := range mounts {
		config.Mounts = append(config.Mounts, &cri.Mount{ContainerPath: asObject(m).Text("mountPath"),
			HostPath: pod.volumes[asObject(m).Text("name")], Readonly: asObject(m)["readOnly"] == true})
	}
	if Get(spec, "securityContext", "seccompProfile", "type") != "RuntimeDefault" {
		t.Errorf("%s%s: another profile of system calls", kind, suffix)
	}
	user := &cri.Int64Value{Value: int64(number(Get(spec, "securityContext", "runAsUser")))}
	group := &cri.Int64Value{Value: int64(number(Get(spec, "securityContext", "runAsGroup")))}
	namespaces := &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER}
	seccomp := &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}
	config.Linux = &cri.LinuxContainerConfig{
		Resources: &cri.LinuxContainerResources{MemoryLimitInBytes: memory(t, container.Text("resources", "limits", "memory"))},
		SecurityContext: &cri.LinuxContainerSecurityContext{
			RunAsUser: user, RunAsGroup: group, NamespaceOptions: namespaces, Seccomp: seccomp,
			SupplementalGroups: []int64{int64(number(Get(spec, "securityContext", "fsGroup")))},
			ReadonlyRootfs:     Get(container, "securityContext", "readOnlyRootFilesystem") == true,
			NoNewPrivs:         Get(container, "securityContext", "allowPrivilegeEscalation") == false,
			Capabilities:       &cri.Capability{DropCapabilities: texts(Get(container, "securityContext", "capabilities", "drop"))},
		},
	}
	sandbox := &cri.PodSandboxConfig{Linux: &cri.LinuxPodSandboxConfig{CgroupParent: parts.Cgroup() + "/" + strings.ToLower(kind) + suffix,
		SecurityContext: &cri.LinuxSandboxSecurityContext{RunAsUser: user, RunAsGroup: group, NamespaceOptions: namespaces, Seccomp: seccomp}}}
	pod.Pod = p.daemon.RunPod(t, strings.ToLower(kind)+suffix, sandbox, config)
	return pod
}

// writeVolume writes a ConfigMap's files as a kubelet does: into a new directory, to which a link then leads.
func writeVolume(t *testing.T, dir string, configMap Object) {
	t.Helper()
	version, err := os.MkdirTemp(dir, "..")
	if err == nil {
		err = os.Chmod(version, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range asObject(configMap["data"]) {
		if err := os.WriteFile(filepath.Join(version, name), []byte(text.(string)), 0o644); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(dir, name)
		if _, err := os.Lstat(link); err == nil {
			continue
		}
		if err := os.Symlink(filepath.Join("..data", name), link); err != nil {
			t.Fatal(err)
		}
	}
	next := filepath.Join(dir, "..data_tmp")
	if err := errors.Join(os.Symlink(filepath.Base(version), next), os.Rename(next, filepath.Join(dir, "..data"))); err != nil {
		t.Fatal(err)
	}
}

func texts(list any) []string {
	all, _ := list.([]any)
	texts := make([]string, len(all))
	for i, text := range all {
		texts[i], _ = text.(string)
	}
	return texts
}

func number(v any) int {
	n, _ := strconv.Atoi(fmt.Sprint(v))
	return n
}

// memory returns the bytes of a quantity in Mi or Gi.
func memory(t *testing.T, quantity string) int64 {
	t.Helper()
	var n int64
	var unit string
	if _, err := fmt.Sscanf(quantity, "%d%s", &n, &unit); err != nil {
		t.Fatalf("memory %q: %v", quantity, err)
	}
	factor := map[string]int64{"Mi": 1 << 20, "Gi": 1 << 30}[unit]
	if factor == 0 {
		t.Fatalf("memory %q: unknown unit", quantity)
	}
	return n * factor
}

// exit waits until the container has ended and returns its exit code.
func (p *criPod) exit(t *testing.T) int {
	t.Helper()
	var code int
	parts.Poll(t, parts.Ready, "the end", func() error {
		status := p.Status(t)
		if status.State != cri.ContainerState_CONTAINER_EXITED {
			return fmt.Errorf("%v", status.State)
		}
		code = int(status.ExitCode)
		return nil
	})
	return code
}

// url returns the address of a path at a port, which has a name.
func (p *criPod) url(t *testing.T, port, path string) string {
	t.Helper()
	ports, _ := Get(p.spec, "containers", 0, "ports").([]any)
	for _, o := range ports {
		if asObject(o).Text("name") == port {
			return "http://" + net.JoinHostPort(p.IP, strconv.Itoa(number(asObject(o)["containerPort"]))) + path
		}
	}
	t.Fatalf("no port %q", port)
	return ""
}

// probe waits until a probe of the pod succeeds.
func (p *criPod) probe(t *testing.T, name string) {
	t.Helper()
	get := asObject(Get(p.spec, "containers", 0, name, "httpGet"))
	if get.Text("scheme") != "HTTP" {
		t.Fatalf("%s: %v", name, get)
	}
	url := p.url(t, get.Text("port"), get.Text("path"))
	parts.Poll(t, parts.Ready, name, func() error {
		if status := p.Status(t); status.State != cri.ContainerState_CONTAINER_RUNNING {
			t.Fatalf("%s: it ended: %v\n%s", name, status, p.Log())
		}
		return parts.HTTP(url, http.StatusOK)()
	})
}

// helmTest: the pod of `helm test` pulls through the server.
func (p *criPods) helmTest(t *testing.T, server *criPod) {
	values := merge(p.values, Values{"test": Values{"image": "library/app:v1", "url": server.url(t, "clients", "")}})
	test := (&criPods{p.podWorld, p.template(t, values)}).run(t, "Pod", "-test")
	if code := test.exit(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, test.Log())
	}
}

// reload: a changed ConfigMap reaches the server, which does not restart.
func (p *criPods) reload(t *testing.T, server *criPod) {
	config := merge(p.values["config"].(Values), Values{"deny": Values{"repositories": []any{"forbidden"}}})
	changed := Find(t, p.template(t, merge(p.values, Values{"config": config})), "ConfigMap", Release+"-oci-proxy")
	writeVolume(t, server.volumes["config"], changed)
	parts.Poll(t, parts.Ready, "the new config", func() error {
		return configHash(t.Context(), server.url(t, "admin", "/metrics"), changed.Text("metadata", "annotations", "oci-proxy/sha256"))
	})
	if status, _, err := fetch(t.Context(), server.url(t, "clients", "/v2/forbidden/manifests/v1")); status != http.StatusForbidden {
		t.Errorf("a denied repository: %d, %v", status, err)
	}
	if status := server.Status(t); status.State != cri.ContainerState_CONTAINER_RUNNING {
		t.Errorf("it is %v\n%s", status, server.Log())
	}
}

// configHash reports whether the metrics have the hash of a config.
func configHash(ctx context.Context, url, hash string) error {
	_, text, err := fetch(ctx, url)
	if err == nil && !regexp.MustCompile(`(?m)^ociproxy_config_info\{.*hash="`+hash).MatchString(text) {
		err = fmt.Errorf("no hash %s in %q", hash, regexp.MustCompile(`(?m)^ociproxy_config_info.*`).FindString(text))
	}
	return err
}

// drain: SIGTERM makes the readiness probe fail at once. The server answers until its drain is over, and ends by itself.
func (p *criPods) drain(t *testing.T, server *criPod) {
	grace := time.Duration(number(server.spec["terminationGracePeriodSeconds"])) * time.Second
	if grace != podGrace {
		t.Errorf("a grace period of %v, want %v", grace, podGrace)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop(t.Context(), grace) }()
	drains(t, server.url(t, "clients", ""))
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	status := server.Status(t)
	if status.ExitCode != 0 || status.Reason != "Completed" {
		t.Errorf("it ended with %v\n%s", status, server.Log())
	}
}

// drains waits until the server says that it is not ready. Until then and for a while longer it must answer.
func drains(t *testing.T, url string) {
	t.Helper()
	answers := func() {
		t.Helper()
		if status, _, err := fetch(t.Context(), url+"/v2/library/app/manifests/v1"); status != http.StatusOK {
			t.Fatalf("during the drain: %d, %v", status, err)
		}
	}
	parts.Poll(t, parts.Ready, "not ready", func() error {
		answers()
		return parts.HTTP(url+"/-/ready", http.StatusServiceUnavailable)()
	})
	for range 20 {
		answers()
	}
}
