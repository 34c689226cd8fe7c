package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
)

// TestHelmTestPulls: the pod of `helm test` pulls an image through the server that the chart configures, and fails when
// it cannot. Both run here as processes, with the arguments and files of their pods. Only addresses and directories
// differ.
func TestHelmTestPulls(t *testing.T) {
	reg := registry.Start(t)
	image.New(t, 1, 10<<10, 1<<20).Push(t, reg.Addr, "team/app", "v1")
	config := merge(app(), Values{"upstreams": []any{
		Values{"name": "main", "url": reg.URL, "place": "aws/us-east-1", "canonical": true, "insecure": true},
	}})
	for name, want := range map[string]int{"team/app:v1": 0, "team/app:v2": 1} {
		text, err := Template(t, "", with(Values{"config": config, "test": Values{"image": name}}))
		if err != nil {
			t.Fatal(err)
		}
		all := Objects(t, text)
		listen, admin := parts.FreeAddr(t), parts.FreeAddr(t)
		server := start(t, Find(t, all, "Deployment", Release+"-oci-proxy"), all, "listen: :8080", "listen: "+listen,
			"listen: :9090", "listen: "+admin, "/var/cache/oci-proxy", t.TempDir())
		parts.Poll(t, parts.Ready, "the server", parts.HTTP("http://"+listen+"/-/ready", 200))
		service := "http://" + Release + "-oci-proxy." + Namespace + ".svc:80"
		puller := start(t, Find(t, all, "Pod", Release+"-oci-proxy-test"), all, service, "http://"+listen)
		if code := puller.Wait(t, parts.Ready); code != want {
			t.Errorf("%s: exit code %d, want %d:\n%s", name, code, want, puller.Output.String())
		}
		if !server.Running() {
			t.Error("the server ended")
		}
	}
	pulled := map[string]bool{}
	for _, access := range reg.Since(0) {
		if access.Method == "GET" && strings.Contains(access.Path, "/blobs/") {
			pulled[access.Path] = true
		}
	}
	if len(pulled) < 2 {
		t.Errorf("it read %d blobs: %v", len(pulled), pulled)
	}
}

// TestBrokenConfigMap: a pod starts after a person broke the ConfigMap. It serves on the config of the release before.
func TestBrokenConfigMap(t *testing.T) {
	text, err := Template(t, "", with(nil))
	if err != nil {
		t.Fatal(err)
	}
	all := Objects(t, text)
	asObject(Find(t, all, "ConfigMap", Release+"-oci-proxy")["data"])["config.yaml"] = "version: 1\nupstreams: []\n"
	listen := parts.FreeAddr(t)
	server := start(t, Find(t, all, "Deployment", Release+"-oci-proxy"), all, "listen: :8080", "listen: "+listen,
		"listen: :9090", "listen: "+parts.FreeAddr(t), "/var/cache/oci-proxy", t.TempDir())
	parts.Poll(t, parts.Ready, "the server", parts.HTTP("http://"+listen+"/-/ready", 200))
	if !server.Running() {
		t.Error("the server ended")
	}
}

// start starts the program of an object's pod. Directories take the place of its ConfigMaps. replace has pairs of
// texts: in the files and the environment, the second replaces the first.
func start(t *testing.T, o Object, all []Object, replace ...string) *parts.Process {
	t.Helper()
	pod, _ := o.Pod()
	list, _ := Get(pod, "containers", 0, "args").([]any)
	args := make([]string, len(list))
	for i, a := range list {
		args[i] = a.(string)
	}
	var env []string
	list, _ = Get(pod, "containers", 0, "env").([]any)
	for _, e := range list {
		variable := asObject(e)
		env = append(env, variable.Text("name")+"="+strings.NewReplacer(replace...).Replace(variable.Text("value")))
	}
	volumes, _ := pod["volumes"].([]any)
	mounts, _ := Get(pod, "containers", 0, "volumeMounts").([]any)
	for i, v := range volumes {
		name := asObject(v).Text("configMap", "name")
		if name == "" {
			continue
		}
		dir := t.TempDir()
		for file, text := range asObject(Find(t, all, "ConfigMap", name)["data"]) {
			changed := strings.NewReplacer(replace...).Replace(text.(string))
			if err := os.WriteFile(filepath.Join(dir, file), []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		at := asObject(mounts[i]).Text("mountPath")
		for _, texts := range [][]string{args, env} {
			for i := range texts {
				texts[i] = strings.ReplaceAll(texts[i], at, dir)
			}
		}
	}
	return parts.Start(t, parts.Spec{Path: proxy.Binary(t), Args: args, Env: env, Quiet: true, Abrupt: true})
}
