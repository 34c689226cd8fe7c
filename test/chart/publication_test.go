package chart

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

const rootKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// followed returns values of a server that follows a publication. more overrides the value publication.
func followed(more Values) Values {
	return with(Values{"publication": merge(
		Values{"url": "https://127.0.0.1:1/config/", "deployment": "prod", "ring": "canary", "keys": []any{rootKey, rootKey}}, more)})
}

// server returns the container of the server, and its volumes by name.
func server(t *testing.T, values Values) (all []Object, container Object, volumes map[string]Object) {
	t.Helper()
	text, err := Template(t, "", values)
	if err != nil {
		t.Fatal(err)
	}
	all = Objects(t, text)
	pod, _ := Find(t, all, "Deployment", Release+"-oci-proxy").Pod()
	volumes = map[string]Object{}
	for _, v := range Get(pod, "volumes").([]any) {
		volumes[asObject(v).Text("name")] = asObject(v)
	}
	return all, asObject(Get(pod, "containers", 0)), volumes
}

// environment returns the variables of the program in a container.
func environment(container Object) map[string]string {
	env := map[string]string{}
	for _, v := range Get(container, "env").([]any) {
		if name := asObject(v).Text("name"); strings.HasPrefix(name, "OCI_PROXY_") {
			env[name] = asObject(v).Text("value")
		}
	}
	return env
}

// TestPublication: with a publication the ConfigMap is the fallback, and there is no second ConfigMap.
func TestPublication(t *testing.T) {
	all, container, volumes := server(t, followed(nil))
	if diff := cmp.Diff([]any{"serve", "--config=https://127.0.0.1:1/config/"}, Get(container, "args")); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	want := map[string]string{
		"OCI_PROXY_DEPLOYMENT": "prod", "OCI_PROXY_RING": "canary", "OCI_PROXY_CONFIG_KEYS": rootKey + "," + rootKey,
		"OCI_PROXY_LAST_GOOD": "/var/cache/oci-proxy/last-good", "OCI_PROXY_CONFIG_FALLBACK": "/etc/oci-proxy/config.yaml",
	}
	if diff := cmp.Diff(want, environment(container)); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if volumes["fallback"] != nil || volumes["last-good"] != nil {
		t.Errorf("volumes: %v", volumes)
	}
	for _, o := range all {
		if strings.HasSuffix(o.String(), "-fallback") {
			t.Errorf("%s is rendered", o)
		}
	}
	claim := Values{"claimName": "last-good"}
	_, container, volumes = server(t, followed(Values{"lastGood": Values{"persistentVolumeClaim": claim}}))
	if diff := cmp.Diff(any(Object(claim)), Get(volumes["last-good"], "persistentVolumeClaim")); diff != "" {
		t.Errorf("volume (-want +got):\n%s", diff)
	}
	if got := environment(container)["OCI_PROXY_LAST_GOOD"]; got != "/var/lib/oci-proxy" {
		t.Errorf("OCI_PROXY_LAST_GOOD is %s", got)
	}
}

// TestVariables: the server's help knows each variable that the chart sets, with and without a publication.
func TestVariables(t *testing.T) {
	help, _ := run(t, proxy.Binary(t), "serve", "--help")
	help = strings.Join(strings.Fields(help), " ") // it is wrapped
	for _, values := range []Values{with(nil), followed(nil)} {
		_, container, _ := server(t, values)
		env := environment(container)
		if len(env) == 0 {
			t.Error("the chart sets no variable")
		}
		for name := range env {
			if !regexp.MustCompile(`environment variable ` + name + `\b`).MatchString(help) {
				t.Errorf("oci-proxy serve does not read %s", name)
			}
		}
	}
}

// TestPublicationIsAway: the server starts with the arguments and the environment of the pod, on the config of the
// ConfigMap, when the URL does not answer.
func TestPublicationIsAway(t *testing.T) {
	all, container, _ := server(t, followed(nil))
	p := &proxy.Proxy{Addr: parts.FreeAddr(t), Admin: parts.FreeAddr(t)}
	config := Config(t, all)
	config["listen"], config["admin"] = p.Addr, p.Admin
	config["ranges"] = Values{"cache": t.TempDir()}
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var env []string
	for name, value := range environment(container) {
		switch value { // paths of the pod
		case "/etc/oci-proxy/config.yaml":
			value = file
		case "/var/cache/oci-proxy/last-good":
			value = t.TempDir()
		}
		env = append(env, name+"="+value)
	}
	var args []string
	for _, a := range Get(container, "args").([]any) {
		args = append(args, a.(string))
	}
	p.Process = parts.Start(t, parts.Spec{
		Path: proxy.Binary(t), Args: args, Env: env, Ready: parts.HTTP("http://"+p.Addr+"/-/ready", http.StatusOK), Abrupt: true,
	})
	if got := p.Metric(t, "ociproxy_config_info", `ring="canary"`); got != 1 {
		t.Errorf("%v configs of the ring canary", got)
	}
}
