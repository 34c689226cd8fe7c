package chart

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

// app returns the smallest config.
func app() Values {
	return Values{
		"version":   1,
		"upstreams": []any{Values{"name": "main", "url": "https://registry.example.org", "place": "aws/us-east-1", "canonical": true}},
	}
}

// with returns values that can be installed; more overrides them.
func with(more Values) Values {
	return merge(Values{"image": Values{"repository": "registry.example.org/oci-proxy"}, "config": app()}, more)
}

// withConfig returns values with the smallest config; more overrides it.
func withConfig(more Values) Values {
	return with(Values{"config": merge(app(), more)})
}

// TestRefusedValues: helm refuses a wrong value before anything reaches the cluster. The message names the value and
// says what to do.
func TestRefusedValues(t *testing.T) {
	for name, c := range map[string]struct {
		values Values
		want   []string // in the message
	}{
		"nothing set":                   {Values{}, []string{"/config", "upstreams"}},
		"no image":                      {Values{"config": app()}, []string{"image.repository is not set", "make image"}},
		"no image of the tools":         {with(Values{"mirror": Values{"kind": "Job"}}), []string{"tools.repository is not set"}},
		"misspelt key":                  {with(Values{"replicaCount": 3}), []string{"replicaCount"}},
		"misspelt key below":            {with(Values{"mirror": Values{"kinds": "Job"}}), []string{"/mirror", "kinds"}},
		"misspelt key of the config":    {withConfig(Values{"stors": []any{}}), []string{"/config", "stors"}},
		"misspelt key in the config":    {withConfig(Values{"limits": Values{"drian": "3s"}}), []string{"/config/limits", "drian"}},
		"value of the config":           {withConfig(Values{"limits": Values{"maxConnections": "many"}}), []string{"/config/limits/maxConnections"}},
		"kind of exposure":              {with(Values{"exposure": Values{"type": "nodePort"}}), []string{"/exposure/type"}},
		"two ways to expose":            {with(Values{"exposure": Values{"type": []any{"ingress", "gateway"}}}), []string{"/exposure/type"}},
		"text as number":                {with(Values{"replicas": "3"}), []string{"/replicas"}},
		"no replicas":                   {with(Values{"replicas": 0}), []string{"/replicas"}},
		"quantity":                      {with(Values{"cache": Values{"sizeLimit": "4 GB"}}), []string{"/cache/sizeLimit"}},
		"digest":                        {with(Values{"image": Values{"repository": "r", "digest": "sha256:abc"}}), []string{"/image/digest"}},
		"digest in the repository":      {with(Values{"image": Values{"repository": "r@sha256:abc"}}), []string{"/image/repository"}},
		"role of AWS":                   {with(Values{"identity": Values{"aws": Values{"roleARN": "writer"}}}), []string{"/identity/aws/roleARN"}},
		"provider of Google":            {with(Values{"identity": Values{"google": Values{"provider": "pool"}}}), []string{"/identity/google/provider"}},
		"schedule":                      {with(Values{"auditor": Values{"enabled": true, "schedule": "daily"}}), []string{"/auditor/schedule"}},
		"admin port open to everyone":   {with(Values{"networkPolicy": Values{"operatorsFrom": []any{}}}), []string{"/networkPolicy/operatorsFrom"}},
		"front that does not exist":     {with(Values{"exposure": Values{"behind": Values{"preset": "akamai"}}}), []string{"/exposure/behind/preset"}},
		"max below min":                 {with(Values{"autoscaling": Values{"enabled": true, "maxReplicas": 1}}), []string{"maxReplicas is 1, below minReplicas 2"}},
		"tenant of Azure":               {writer(Values{"identity": Values{"azure": Values{"clientID": "id"}}}), []string{"identity.azure.tenantID is not set"}},
		"ingress without a name":        {with(Values{"exposure": Values{"type": "ingress"}}), []string{"exposure.hosts is empty"}},
		"gateway without a parent":      {with(Values{"exposure": Values{"type": "gateway", "hosts": []any{"a.example.org"}}}), []string{"parentRefs is empty"}},
		"promoter without manifests":    {writer(Values{"promoter": Values{"enabled": true}}), []string{"promoter.manifests is empty"}},
		"publication by HTTP":           {followed(Values{"url": "http://a.example.org/"}), []string{"/publication/url"}},
		"publication without a slash":   {followed(Values{"url": "https://a.example.org/config"}), []string{"/publication/url"}},
		"publication, no deployment":    {followed(Values{"deployment": ""}), []string{"publication.deployment is not set", "--deployment"}},
		"publication without a key":     {followed(Values{"keys": []any{}}), []string{"publication.keys is empty", "key show"}},
		"publication, private key":      {followed(Values{"keys": []any{"-----BEGIN PRIVATE KEY-----"}}), []string{"/publication/keys/0"}},
		"publication, misspelt ring":    {followed(Values{"ring": "Canary"}), []string{"/publication/ring"}},
		"publication, misspelt key":     {followed(Values{"root": rootKey}), []string{"/publication", "root"}},
		"publication without a URL":     {followed(Values{"url": ""}), []string{"publication.url is not set", "leave them out"}},
		"listen":                        {withConfig(Values{"listen": ":80"}), []string{"config.listen", "leave it out"}},
		"admin":                         {withConfig(Values{"admin": ":9"}), []string{"config.admin", "leave it out"}},
		"admin in full":                 {withConfig(Values{"admin": Values{"listen": ":9"}}), []string{"config.admin", "leave it out"}},
		"cache":                         {withConfig(Values{"ranges": Values{"cache": "/tmp"}}), []string{"config.ranges.cache", "leave it out"}},
		"file with the name of another": {with(Values{"files": Values{"config.yaml": "a"}}), []string{"files: config.yaml"}},
		"test past the certificate":     {with(Values{"tls": Values{"secretName": "s"}, "test": Values{"image": "a:b"}}), []string{"test.url is not set"}},
		"two certificates": {
			Values{"image": Values{"repository": "r"}, "tls": Values{"secretName": "s"}, "config": merge(app(), Values{"tls": Values{"cert": "/a", "key": "/b"}})},
			[]string{"config.tls.cert and tls.secretName"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := Template(t, "", c.values)
			if err == nil {
				t.Fatalf("rendered:\n%s", out)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not name %q", err, want)
				}
			}
		})
	}
}

// merge returns the values of both. b overrides a.
func merge(a, b Values) Values {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// writer returns values with everything that the jobs need.
func writer(more Values) Values {
	return with(merge(Values{"tools": Values{"repository": "registry.example.org/oci-proxyctl"}, "mirror": Values{"kind": "Deployment"}}, more))
}

// TestBehind: the rule for the client's address follows from the front. The chart refuses every other rule.
func TestBehind(t *testing.T) {
	lastEntry := Values{"header": "X-Forwarded-For", "entry": 1}
	front := func(kind string, more Values) Values {
		return merge(Values{"type": kind, "hosts": []any{"a.example.org"}}, more)
	}
	gateway := func(class string) Values {
		return front("gateway", Values{"gateway": Values{"className": class, "parentRefs": []any{Values{"name": "g"}}}})
	}
	ingress := func(class string) Values { return front("ingress", Values{"ingress": Values{"className": class}}) }
	proxied := front("loadBalancer", Values{"loadBalancer": Values{"proxyProtocolFrom": []any{"192.0.2.0/24"}}})
	own := Values{"header": "X-Real-IP", "single": true}
	for name, c := range map[string]struct {
		exposure Values
		stated   any // client.behind of the config
		want     Values
		refused  string
	}{
		"none":                      {exposure: front("none", nil), want: Values{"preset": "direct"}},
		"load balancer":             {exposure: front("loadBalancer", nil), want: Values{"preset": "direct"}},
		"PROXY protocol":            {exposure: proxied, want: Values{"proxyProtocol": true, "trusted": []any{"192.0.2.0/24"}}},
		"nginx":                     {exposure: ingress("nginx"), want: lastEntry},
		"any ingress":               {exposure: ingress(""), want: lastEntry},
		"AWS":                       {exposure: ingress("alb"), want: Values{"preset": "aws-alb"}},
		"Google's ingress":          {exposure: ingress("gce"), want: Values{"preset": "google-lb"}},
		"Google's gateway":          {exposure: gateway("gke-l7-global-external-managed"), want: Values{"preset": "google-lb"}},
		"another gateway":           {exposure: gateway("envoy"), want: lastEntry},
		"a CDN before the balancer": {exposure: front("loadBalancer", Values{"behind": Values{"preset": "cloudflare"}}), want: Values{"preset": "cloudflare"}},
		"a rule of one's own":       {exposure: merge(ingress("nginx"), Values{"behind": own}), want: own},
		"stated, the same":          {exposure: ingress("alb"), stated: "aws-alb", want: Values{"preset": "aws-alb"}},
		"stated in full, the same":  {exposure: ingress("alb"), stated: Values{"preset": "aws-alb"}, want: Values{"preset": "aws-alb"}},

		"stated, another":                {exposure: ingress("alb"), stated: "google-lb", refused: "config.client.behind is"},
		"stated direct behind ingress":   {exposure: ingress("nginx"), stated: "direct", refused: "config.client.behind is"},
		"stated header, load balancer":   {exposure: front("loadBalancer", nil), stated: lastEntry, refused: "config.client.behind is"},
		"direct behind an ingress":       {exposure: merge(ingress("nginx"), Values{"behind": Values{"preset": "direct"}}), refused: "every client would have the address of the ingress"},
		"direct behind a gateway":        {exposure: merge(gateway("envoy"), Values{"behind": Values{"preset": "direct"}}), refused: "every client would have the address of the gateway"},
		"ALB's header, network balancer": {exposure: front("loadBalancer", Values{"behind": Values{"preset": "aws-alb"}}), refused: "writes no header"},
		"PROXY protocol and a preset":    {exposure: merge(proxied, Values{"behind": Values{"preset": "cloudflare"}}), refused: "proxyProtocolFrom"},
		"PROXY protocol of an ingress":   {exposure: merge(ingress("nginx"), Values{"behind": Values{"proxyProtocol": true}}), refused: "sends HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			values := with(Values{"exposure": c.exposure})
			if c.stated != nil {
				values = merge(withConfig(Values{"client": Values{"behind": c.stated, "whoami": true}}), Values{"exposure": c.exposure})
			}
			text, err := Template(t, "", values)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("not refused by %q: %v", c.refused, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := Config(t, Objects(t, text))
			if diff := cmp.Diff(any(c.want), Get(got, "client", "behind")); diff != "" {
				t.Errorf("client.behind (-want +got):\n%s", diff)
			}
			if c.stated != nil && Get(got, "client", "whoami") != true {
				t.Error("client.whoami is lost")
			}
		})
	}
}

// Config returns the config that the server gets.
func Config(t testing.TB, all []Object) Values {
	t.Helper()
	var config Values
	if err := yaml.Unmarshal([]byte(Find(t, all, "ConfigMap", Release+"-oci-proxy").Text("data", "config.yaml")), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// TestDerived: some fields of the pod's specification follow from the config.
func TestDerived(t *testing.T) {
	for name, c := range map[string]struct {
		values Values
		path   []any
		want   any
	}{
		"grace":               {with(nil), []any{"terminationGracePeriodSeconds"}, 30},
		"grace, longer drain": {withConfig(Values{"limits": Values{"drain": "1m30s"}}), []any{"terminationGracePeriodSeconds"}, 100},
		"grace, no drain":     {withConfig(Values{"limits": Values{"drain": "0s"}}), []any{"terminationGracePeriodSeconds"}, 10},
		"grace, odd drain":    {withConfig(Values{"limits": Values{"drain": "1500ms"}}), []any{"terminationGracePeriodSeconds"}, 12},
		"plain probes":        {with(nil), []any{"containers", 0, "readinessProbe", "httpGet", "scheme"}, "HTTP"},
		"TLS probes":          {with(Values{"tls": Values{"secretName": "s"}}), []any{"containers", 0, "readinessProbe", "httpGet", "scheme"}, "HTTPS"},
		"memory":              {with(Values{"resources": Values{"limits": Values{"memory": "512Mi"}}}), []any{"containers", 0, "env", 0, "value"}, "460MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := Template(t, "", c.values)
			if err != nil {
				t.Fatal(err)
			}
			pod, _ := Find(t, Objects(t, text), "Deployment", Release+"-oci-proxy").Pod()
			if diff := cmp.Diff(c.want, Get(pod, c.path...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReloadInsteadOfRestart: a change of the config does not change the server's pods, unless the values ask for a
// restart. The mirror does not reload, so its pod changes.
func TestReloadInsteadOfRestart(t *testing.T) {
	pods := func(name string, restart bool, drain string) string {
		v := writer(Values{"restartOnConfigChange": restart, "config": merge(app(), Values{"deny": Values{"repositories": []any{drain}}})})
		text, err := Template(t, "", v)
		if err != nil {
			t.Fatal(err)
		}
		out, err := yaml.Marshal(Get(Find(t, Objects(t, text), "Deployment", Release+name), "spec", "template"))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if pods("-oci-proxy", false, "a") != pods("-oci-proxy", false, "b") {
		t.Error("a change of the config restarts the server")
	}
	if pods("-oci-proxy", true, "a") == pods("-oci-proxy", true, "b") {
		t.Error("restartOnConfigChange does nothing")
	}
	if pods("-oci-proxy-mirror", false, "a") == pods("-oci-proxy-mirror", false, "b") {
		t.Error("the mirror keeps the old config")
	}
}
