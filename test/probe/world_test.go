// Package probe_test runs oci-proxyctl probe against a deployment of real parts: haproxy as the front and before the
// stores, oci-proxy, distribution, versitygw.
package probe_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/authority"
	"ociproxy/test/ctl"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
)

// The names and where clients are. The machine of the probe is in Virginia.
const (
	name      = "registry.example.test"
	nearHost  = "near.example.test"    // the store in Virginia
	farHost   = "far.example.test"     // the store in Frankfurt, which serves the internet too
	printed   = "registry.example.org" // the name in the documentation, at the usual port
	sandbox   = "sandbox.example.org"
	self      = "198.18.0.77"
	virginia  = "198.18.0.0/24"
	frankfurt = "198.18.64.0/24"
	ireland   = "198.18.128.0/24" // no store
	v6        = "2001:db8:100::/48"
)

// world is the deployment. haproxy stands before everything that a client reaches, so that a test can break it there.
type world struct {
	authority *authority.Authority
	canonical *registry.Registry
	replica   *registry.Registry
	near, far *s3.Store
	image     *image.Image
	proxy     *proxy.Proxy
	config    proxy.Config
	key       string
	front     *parts.Process
	ports     map[string]string // of haproxy, by host
	file      string            // haproxy's config
	certs     map[string]string
}

// hosts names the deployment on this machine, over both IP families.
func hosts(t *testing.T) {
	t.Helper()
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n")
	for _, h := range []string{name, nearHost, farHost, printed, sandbox} {
		fmt.Fprintf(&b, "127.0.0.1 %s\n::1 %s\n", h, h)
	}
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "--bind", file, "/etc/hosts")
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	p := parts.Start(t, parts.Spec{Path: parts.Find(t, program), Args: args, Quiet: true})
	if code := p.Wait(t, time.Minute); code != 0 {
		t.Fatalf("%s: exit code %d\n%s", program, code, p.Output)
	}
	return p.Output.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		authority: authority.New(t), canonical: registry.Start(t), replica: registry.Start(t),
		near: s3.Start(t, "us-east-1"), far: s3.Start(t, "eu-central-1"),
		image: image.New(t, 1, 10<<10, 300<<10), ports: map[string]string{}, certs: map[string]string{},
		file: filepath.Join(t.TempDir(), "haproxy.cfg"),
	}
	for _, r := range []*registry.Registry{w.canonical, w.replica} {
		w.image.Push(t, r.Addr, "app", "1.0")
		w.image.Push(t, r.Addr, "app", "1.1")
		w.image.Push(t, r.Addr, "pause", "3.10")
	}
	put := map[string]bool{} // platforms share layers
	for _, arch := range w.image.Arch {
		for _, b := range arch.Blobs {
			if put[b.Digest] {
				continue
			}
			put[b.Digest] = true
			for _, s := range []*s3.Store{w.near, w.far} {
				s.Put(t, b.Digest, b.Read(t))
			}
		}
	}
	for _, h := range []string{name, nearHost, farHost, "canonical", "replica"} {
		_, port, err := net.SplitHostPort(parts.FreeAddr(t))
		if err != nil {
			t.Fatal(err)
		}
		w.ports[h] = port
		w.certs[h] = w.authority.Issue(t, 90*24*time.Hour, h, name, printed, sandbox).Together
	}
	w.key = filepath.Join(t.TempDir(), "probe.key")
	made := ctl.Run(t, ctl.Limit, nil, "key", "new", w.key, "--output", "json")
	var key struct {
		Public string `json:"public"`
	}
	if err := json.Unmarshal([]byte(made.Stdout), &key); err != nil || key.Public == "" {
		t.Fatalf("key new: %v\n%s", err, made)
	}
	w.config = w.configure(key.Public).Defaults(t)
	w.proxy = proxy.Start(t, w.config, w.authority.Trust())
	w.haproxy(t, nil)
	return w
}

func (w *world) at(host string) string { return host + ":" + w.ports[host] }

func (w *world) configure(public string) proxy.Config {
	store := func(name, place, host string, s *s3.Store, serves ...string) proxy.Map {
		url := "https://" + w.at(host) + "/" + strings.SplitN(s.URL, "/", 4)[3]
		return proxy.Map{"name": name, "place": place, "url": url, "serves": serves}
	}
	return proxy.Config{
		"location": "gcp/europe-west1",
		"client":   proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1, "trusted": proxy.List{"127.0.0.0/8", parts.Host() + "/32"}}},
		"ranges": proxy.Map{"overrides": proxy.List{
			proxy.Map{"cidr": virginia, "place": "aws/us-east-1"}, proxy.Map{"cidr": v6, "place": "aws/us-east-1"},
			proxy.Map{"cidr": frankfurt, "place": "aws/eu-central-1"}, proxy.Map{"cidr": ireland, "place": "aws/eu-west-1"},
		}},
		"upstreams": proxy.List{
			proxy.Map{"name": "up-us", "url": "https://" + name + ":" + w.ports["canonical"], "place": "gcp/us-central1", "canonical": true},
			proxy.Map{"name": "up-eu", "url": "https://" + name + ":" + w.ports["replica"], "place": "gcp/europe-west1"},
		},
		"stores": proxy.List{
			store("s3-use1", "aws/us-east-1", nearHost, w.near, "aws"),
			store("s3-euc1", "aws/eu-central-1", farHost, w.far, "aws", "internet"),
		},
		"probe":  proxy.Map{"maxRPS": 200, "keys": proxy.List{proxy.Map{"name": "test", "key": public}}},
		"limits": proxy.Map{"checkTimeout": "5s"},
	}
}

// fault changes haproxy's config: the lines of the frontend of a host, and the addresses that it listens on.
type fault struct {
	lines   map[string][]string
	binds   map[string][]string // addresses; default both families
	certs   map[string]string
	options map[string]string // of bind
	backend map[string]string
}

// haproxy starts the front, or starts it again with a fault.
func (w *world) haproxy(t *testing.T, f *fault) {
	t.Helper()
	if f == nil {
		f = &fault{}
	}
	var b strings.Builder
	b.WriteString("global\n  maxconn 500\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n  timeout http-request 10s\n")
	backends := map[string]string{name: w.proxy.Addr, nearHost: w.near.Addr, farHost: w.far.Addr, "canonical": w.canonical.Addr, "replica": w.replica.Addr}
	for i, h := range []string{name, nearHost, farHost, "canonical", "replica"} {
		binds, cert, backend := f.binds[h], f.certs[h], f.backend[h]
		if binds == nil {
			binds = []string{"127.0.0.1", "[::1]"}
		}
		if cert == "" {
			cert = w.certs[h]
		}
		if backend == "" {
			backend = backends[h]
		}
		option := "alpn h2,http/1.1"
		if o, ok := f.options[h]; ok {
			option = o
		}
		fmt.Fprintf(&b, "frontend f%d\n", i)
		for _, a := range binds {
			fmt.Fprintf(&b, "  bind %s:%s ssl crt %s %s\n", a, w.ports[h], cert, option)
			if h == name {
				fmt.Fprintf(&b, "  bind %s:443 ssl crt %s %s\n", a, cert, option)
			}
		}
		lines := f.lines[h]
		if h == name && !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "X-Forwarded-For") }) {
			lines = append([]string{"http-request set-header X-Forwarded-For " + self}, lines...)
		}
		for _, l := range lines {
			fmt.Fprintf(&b, "  %s\n", l)
		}
		fmt.Fprintf(&b, "  default_backend b%d\nbackend b%d\n  server s %s\n", i, i, backend)
	}
	if err := os.WriteFile(w.file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if w.front != nil && w.front.Running() {
		w.front.Signal(t, syscall.SIGKILL)
		w.front.Wait(t, time.Minute)
	}
	w.front = parts.Start(t, parts.Spec{
		Path: parts.Find(t, "haproxy"), Args: []string{"-db", "-f", w.file}, Ready: parts.Dial("tcp", "127.0.0.1:"+w.ports[nearHost]), Abrupt: true,
	})
}

// recovered ends the last fault, and waits until the proxy has seen that its stores and its replica are well again.
func (w *world) recovered(t *testing.T) {
	t.Helper()
	w.haproxy(t, nil)
	blob := "/v2/app/blobs/" + w.image.Arch["amd64"].Blobs[0].Digest
	parts.Poll(t, 2*time.Minute, "the recovery of the stores and the replica", func() error {
		for _, want := range []struct{ client, path, candidate string }{
			{self, blob, "s3-use1"}, {"198.18.64.1", blob, "s3-euc1"}, {"198.18.64.1", "/v2/app/manifests/1.0", "up-eu"},
		} {
			url := "http://" + w.proxy.Admin + "/explain?ip=" + want.client + "&path=" + want.path
			resp, err := http.Get(url)
			if err != nil {
				return err
			}
			text, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil {
				return err
			}
			var is struct{ Answer struct{ Candidate string } }
			if err := json.Unmarshal(text, &is); err != nil {
				return err
			}
			if is.Answer.Candidate != want.candidate {
				return fmt.Errorf("%s is not sent to %s:\n%s", want.client, want.candidate, text)
			}
		}
		return nil
	})
}

// report is the JSON of a run, as far as the tests read it.
type report struct {
	Errors, Warnings, Passed int
	Cost                     struct {
		Requests, Bytes int64
		Seconds         float64
	}
	Classes  []string
	Findings []finding
}

type finding struct{ Check, As, Host, Result, Proof, Detail, Hint string }

// probe runs the probe as all classes.
func (w *world) probe(t *testing.T, args ...string) (report, ctl.Ran) {
	t.Helper()
	all := append([]string{
		"probe", w.at(name), "--config", w.proxy.File, "--image", "app:1.0", "--identity", w.key, "--self", self,
		"--ca", w.authority.File, "--max-rate", "150", "--output", "json",
	}, args...)
	ran := ctl.Run(t, ctl.Limit, []string{w.authority.Trust()}, all...)
	var r report
	if err := json.Unmarshal([]byte(ran.Stdout), &r); err != nil {
		t.Fatalf("%v\n%s", err, ran)
	}
	return r, ran
}

func (r report) bad() (list []finding) {
	for _, f := range r.Findings {
		if f.Result == "error" || f.Result == "warning" {
			list = append(list, f)
		}
	}
	return list
}
