package tutorial

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/internal/key"
	"ociproxy/test/authority"
	"ociproxy/test/ctl"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/prometheus"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
)

// Clients of the region that the page adds come from these addresses, each /24 a network of its own. They are those of
// benchmarks (RFC 2544).
const spain = "198.18.0.0/15"

// cloudAddrs are the addresses at which the stores' regions answer. The one in Berlin has both families: a store of a
// cloud without any other takes no families from a neighbour.
var cloudAddrs = map[string][]string{"us-east-1": {"192.0.2.11"}, "eu-south-2": {"192.0.2.12"}, "berlin": {"192.0.2.13", "2001:db8::13"}}

// deployment is what the operator of the page has: two instances that follow a publication, a registry with an image,
// and a cloud with two regions. Every name is on this machine.
type deployment struct {
	dir       string
	authority *authority.Authority
	image     *image.Image
	instances []*parts.Process
	env       []string
}

// own is the page's file of gates: short times, because a test waits for them.
const own = `version: 1
every: 1s
window: 4s
soak: 4s
limit: 90s
good: 2
bad: 3
of: 5
instances: {match: 'job="oci-proxy"', min: 2, stale: 10s, within: 60s}
traffic:
- {name: requests, expr: 'sum(increase(ociproxy_requests_total{kind!="probe"}[$window]) * $new)', min: 5}
gates:
- name: 5xx
  expr: >-
    sum(rate(ociproxy_requests_total{code=~"5..",kind!="probe"}[$window]) * $instances)
    or 0 * sum(rate(ociproxy_requests_total{kind!="probe"}[$window]) * $instances)
  max: 0.01
`

// deploy starts everything but the region that the page adds.
func deploy(t *testing.T, config string) *deployment {
	t.Helper()
	d := &deployment{dir: t.TempDir(), authority: authority.New(t), image: image.New(t, 1, 10<<10, 300<<10)}
	up := registry.Start(t)
	d.image.Push(t, up.Addr, "team/app", "1.0")
	address := func(args ...string) { parts.Run(t, time.Minute, parts.Find(t, "ip"), args...) }
	address("route", "add", "local", spain, "dev", "lo")
	hosts := "127.0.0.1 localhost\n" + parts.Host() + " main.example.org\n198.18.0.1 registry.example.org\n"
	for region, addrs := range cloudAddrs {
		for _, addr := range addrs {
			address("address", "add", addr, "dev", "lo")
			hosts += addr
			for _, bucket := range []string{"", "prod-use1.", "prod-eus2.", "prod-config.", "layers."} {
				hosts += " " + bucket + "s3." + region + ".example.net"
			}
			hosts += "\n"
		}
	}
	file := d.file(t, "hosts", hosts)
	parts.Run(t, time.Minute, parts.Find(t, "mount"), "--bind", file, "/etc/hosts")
	t.Cleanup(func() { _ = syscall.Unmount("/etc/hosts", syscall.MNT_DETACH) })
	for region, addrs := range cloudAddrs {
		d.cloud(t, region, addrs)
	}

	keys := map[string]string{}
	for _, name := range []string{"root", "ci"} {
		private, err := key.New(filepath.Join(d.dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = key.Format(key.Public(private))
	}
	d.env = []string{
		"AWS_ACCESS_KEY_ID=123456789012", "AWS_SECRET_ACCESS_KEY=test-secret", d.authority.Trust(),
		"OCI_PROXY_PUBLICATION=s3://prod-config/production?region=us-east-1&endpoint=https://s3.us-east-1.example.net", "OCI_PROXY_DEPLOYMENT=production",
		"OCI_PROXY_CONFIG_KEYS=" + keys["root"], "OCI_PROXY_KEY=" + filepath.Join(d.dir, "ci.key"),
	}
	d.file(t, "config.yaml", config)
	d.file(t, "gates.yaml", own)
	d.bucket(t)
	d.front(t, up.Addr)
	d.ctl(t, "config", "keys", "add", "--config-key", "ci="+keys["ci"], "--key", filepath.Join(d.dir, "root.key"), "--why", "first")
	d.ctl(t, "store", "create", "s3-use1", "--config", filepath.Join(d.dir, "config.yaml"), "--confirm")
	d.ctl(t, "mirror", "--config", filepath.Join(d.dir, "config.yaml"))
	d.ctl(t, "config", "publish", filepath.Join(d.dir, "config.yaml"), "--ring", "all", "--why", "first")
	var targets []prometheus.Target
	for n := 1; n <= 2; n++ {
		targets = append(targets, prometheus.Target{Addr: d.instance(t, n, keys["root"])})
	}
	server := prometheus.Start(t, time.Second, targets...)
	server.Wait(t, time.Minute, "count(ociproxy_config_info) == 2")
	d.env = append(d.env, "OCI_PROXY_PROMETHEUS="+server.URL)
	return d
}

// file writes a file into the operator's directory.
func (d *deployment) file(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(d.dir, name)
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// ctl runs oci-proxyctl. It may end with 4 or 5 when this machine's stores lack a setting.
func (d *deployment) ctl(t *testing.T, args ...string) {
	t.Helper()
	if r := ctl.Run(t, ctl.Limit, d.env, args...); r.Code != 0 && r.Code != 5 {
		t.Fatalf("%q: %v", args, r)
	}
}

// cloud starts a region: versitygw with a certificate.
func (d *deployment) cloud(t *testing.T, region string, addrs []string) {
	t.Helper()
	domain := "s3." + region + ".example.net"
	cert := d.authority.Issue(t, 24*time.Hour, domain, "*."+domain)
	args := []string{"--quiet", "--region", region, "--virtual-domain", domain, "--cert", cert.Cert, "--key", cert.Key}
	for _, addr := range addrs {
		args = append(args, "--port", net.JoinHostPort(addr, "443"))
	}
	parts.Start(t, parts.Spec{
		Path: parts.Find(t, "versitygw"), Args: append(args, "posix", "--versioning-dir", t.TempDir(), t.TempDir()),
		Env: []string{"ROOT_ACCESS_KEY=123456789012", "ROOT_SECRET_KEY=test-secret"}, Ready: parts.Dial("tcp", addrs[0]+":443"), Abrupt: true,
	})
}

// bucket makes the bucket of the publication, with curl as docs/s3-compatible.md does.
func (d *deployment) bucket(t *testing.T) {
	t.Helper()
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::prod-config/*"}]}`
	for _, args := range [][]string{{""}, {"?policy=", "--data-binary", policy}} {
		all := append([]string{"--fail-with-body", "-sS", "--cacert", d.authority.File, "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "123456789012:test-secret",
			"-H", "x-amz-content-sha256:UNSIGNED-PAYLOAD", "-X", "PUT", "https://prod-config.s3.us-east-1.example.net/" + args[0]}, args[1:]...)
		parts.Run(t, time.Minute, parts.Find(t, "curl"), all...)
	}
}

// instance starts a server in a network of its own, and returns the address of its admin port.
func (d *deployment) instance(t *testing.T, n int, root string) string {
	t.Helper()
	ip, name, addr := parts.Find(t, "ip"), fmt.Sprintf("i%d", n), fmt.Sprintf("10.77.%d.2", n)
	for _, args := range []string{
		"netns add " + name, "link add v-" + name + " type veth peer name eth0 netns " + name,
		fmt.Sprintf("address add 10.77.%d.1/24 dev v-%s", n, name), "link set v-" + name + " up",
		"-n " + name + " address add " + addr + "/24 dev eth0", "-n " + name + " link set eth0 up", "-n " + name + " link set lo up",
		fmt.Sprintf("-n %s route add default via 10.77.%d.1", name, n),
	} {
		parts.Run(t, time.Minute, ip, strings.Fields(args)...)
	}
	p := parts.Start(t, parts.Spec{
		Path: ip, Args: []string{"netns", "exec", name, proxy.Binary(t), "serve", "--config", "https://prod-config.s3.us-east-1.example.net/production/",
			"--deployment", "production", "--ring", "all", "--config-key", root, "--last-good", t.TempDir()},
		Env: []string{d.authority.Trust()}, Ready: parts.HTTP("http://"+addr+":8080/-/ready", http.StatusOK), Abrupt: true,
	})
	d.instances = append(d.instances, p)
	return addr + ":9090"
}

// front starts haproxy before the instances and the registry.
func (d *deployment) front(t *testing.T, up string) {
	t.Helper()
	cert := d.authority.Issue(t, 24*time.Hour, "registry.example.org", "main.example.org").Together
	file := d.file(t, "haproxy.cfg", fmt.Sprintf(`global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend public
  bind %[1]s:443 ssl crt %[2]s alpn h2,http/1.1
  bind 198.18.0.1:443 ssl crt %[2]s alpn h2,http/1.1
  use_backend %%[req.hdr(host),field(1,:),lower]
backend registry.example.org
  balance roundrobin
  http-request set-header X-Forwarded-For %%[src]
  server i1 10.77.1.2:8080
  server i2 10.77.2.2:8080
backend main.example.org
  server up %[3]s
`, parts.Host(), cert, up))
	parts.Start(t, parts.Spec{Path: parts.Find(t, "haproxy"), Args: []string{"-db", "-f", file}, Ready: parts.Dial("tcp", parts.Host()+":443"), Abrupt: true})
}
