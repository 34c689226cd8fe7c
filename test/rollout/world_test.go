package rollout

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
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
	"ociproxy/test/prometheus"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
)

// Names of the world. haproxy answers to all of them at port 443, so that a test can break what is behind one of them.
const (
	registryName = "registry.example.org" // production's front: all its instances in turn
	sandboxName  = "sandbox.example.org"
	configName   = "config.example.org" // the bucket with the publications
	domain       = ".example.org"       // of stores, registries and single instances
)

// hostV6 is the other address of haproxy (RFC 3849). Instances have no way there, and use IPv4.
const hostV6 = "2001:db8::1"

// The stores. storeCDN is in none of the first configurations. It is free and near every client, so all are sent there
// as soon as a configuration has it.
const (
	storeUS  = "s3-use1"
	storeAz  = "az-we"
	storeCDN = "cdn"
)

// place is where clients pull from. Each pull comes from a network (/24) of its own.
type place struct {
	name string
	net  netip.Prefix
	at   string // as in the config; "": a client of no cloud
}

var (
	virginia  = place{"virginia", netip.MustParsePrefix("11.0.0.0/10"), "aws/us-east-1"}
	amsterdam = place{"amsterdam", netip.MustParsePrefix("11.64.0.0/10"), "azure/westeurope"}
	home      = place{"home", netip.MustParsePrefix("11.128.0.0/10"), ""}
	places    = []place{virginia, amsterdam, home}
)

// machine returns the n-th machine of the place.
func (p place) machine(n int) netip.Addr {
	a := p.net.Addr().As4()
	n %= 1 << 14
	return netip.AddrFrom4([4]byte{a[0], a[1] + byte(n>>8), byte(n), 10})
}

// world is two deployments with what they need. Each instance has a network of its own, as on a machine of its own: the
// same configuration, with the same ports, serves all.
type world struct {
	authority  *authority.Authority
	upstream   *registry.Registry
	stores     map[string]*s3.Store
	bucket     *s3.Store // with the publications
	image      *image.Image
	probeKey   string // file of the probe's identity
	public     string // its public key
	instances  []*instance
	prometheus *prometheus.Server
	keys       map[string]string // public keys, by name
	dir        string
	haproxy    *parts.Process
}

// faults of what is behind a name; see the rules in haproxy's config.
const (
	faultResume = "resume" // 400 to a client that asks for the rest of a layer
	faultAzure  = "azure"  // 403 to clients of one cloud
	faultDead   = "dead"   // every connection is closed
	faultHole   = "hole"   // no answer, and the connection stays
	faultHeads  = "heads"  // who writes a head waits for the answer
)

// diskBytes is the size of the disk that can be full.
const diskBytes = 1 << 20

// newWorld starts everything but the instances.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		authority: authority.New(t), upstream: registry.Start(t), stores: map[string]*s3.Store{}, bucket: s3.Start(t, "us-east-1"),
		image: image.New(t, 1, 10<<10, 200<<10), dir: t.TempDir(),
	}
	w.bucket.Make(t, "config")
	for _, name := range []string{storeUS, storeAz, storeCDN} {
		w.stores[name] = s3.Start(t, name)
	}
	w.image.Push(t, w.upstream.Addr, "app", "1.0")
	put := map[string]bool{} // platforms share layers
	for _, arch := range w.image.Arch {
		for _, b := range arch.Blobs {
			if put[b.Digest] {
				continue
			}
			put[b.Digest] = true
			for _, s := range w.stores {
				s.Put(t, b.Digest, b.Read(t))
			}
		}
	}
	w.probeKey = filepath.Join(w.dir, "probe.key")
	w.public = newKey(t, w.probeKey)
	w.instances = fleet()
	for _, i := range w.instances {
		i.wire(t)
		if err := os.MkdirAll(w.lastGood(i), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	full := w.lastGood(w.instance("canary-1"))
	run(t, "mount", "-t", "tmpfs", "-o", fmt.Sprint("size=", diskBytes), "last-good", full)
	t.Cleanup(func() { _ = syscall.Unmount(full, syscall.MNT_DETACH) }) // so that the directory can be removed
	run(t, "ip", "route", "add", "local", "11.0.0.0/8", "dev", "lo")    // clients may have any of these addresses
	run(t, "ip", "address", "add", hostV6+"/128", "dev", "lo")
	w.hosts(t)
	w.front(t)
	return w
}

// newKey makes a key and returns its public part.
func newKey(t *testing.T, file string) string {
	t.Helper()
	made := ctl.Run(t, ctl.Limit, nil, "key", "new", file, "--output", "json")
	public := ctl.Decode[struct{ Public string }](t, made.Stdout).Public
	if public == "" {
		t.Fatalf("key new: %s", made)
	}
	return public
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	p := parts.Start(t, parts.Spec{Path: parts.Find(t, program), Args: args, Quiet: true})
	if code := p.Wait(t, time.Minute); code != 0 {
		t.Fatalf("%s %q: exit code %d\n%s", program, args, code, p.Output)
	}
}

// backends returns what is behind each name.
func (w *world) backends() map[string]string {
	out := map[string]string{configName: w.bucket.Backend(), "up" + domain: w.upstream.Addr}
	for name, s := range w.stores {
		out[name+domain] = s.Backend()
	}
	for _, i := range w.instances {
		out[i.name+domain] = i.addr + ":8080"
	}
	return out
}

// hosts names everything on this machine.
func (w *world) hosts(t *testing.T) {
	t.Helper()
	names := append(slices.Sorted(maps.Keys(w.backends())), registryName, sandboxName)
	file := filepath.Join(w.dir, "hosts")
	text := "127.0.0.1 localhost\n" + parts.Host() + " " + strings.Join(names, " ") + "\n" + hostV6 + " " + strings.Join(names, " ") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "--bind", file, "/etc/hosts")
}

// front starts haproxy before all of them. Its rules look up the fault of a backend in a map, which [world.fault]
// changes while it runs, so that its counters survive.
func (w *world) front(t *testing.T) {
	t.Helper()
	backends := w.backends()
	names := append(slices.Sorted(maps.Keys(backends)), registryName, sandboxName)
	cert := w.authority.Issue(t, 90*24*time.Hour, names...).Together
	faults := filepath.Join(w.dir, "faults.map")
	if err := os.WriteFile(faults, []byte("nothing none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `global
  maxconn 2000
  nbthread 1
  stats socket %[1]s/haproxy.sock level admin
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout http-request 10s
  timeout tarpit 2m
frontend public
  bind %[2]s:443 ssl crt %[3]s alpn h2,http/1.1
  bind [%[4]s]:443 ssl crt %[3]s alpn h2,http/1.1
  use_backend %%[req.hdr(host),field(1,:),lower]
frontend metrics
  bind %[2]s:8404
  http-request use-service prometheus-exporter if { path /metrics }
`, w.dir, parts.Host(), cert, hostV6)
	for _, name := range names {
		fmt.Fprintf(&b, `backend %[1]s
  http-request set-var(txn.fault) str(%[1]s),map_str(%[2]s,none)
  http-request reject if { var(txn.fault) -m str dead }
  http-request silent-drop if { var(txn.fault) -m str hole }
  http-request tarpit if { var(txn.fault) -m str heads } { method PUT } { path_sub /rings/ }
  http-request return status 403 if { var(txn.fault) -m str azure } { src %[3]s }
  http-request return status 400 if { var(txn.fault) -m str resume } { req.hdr(range) -m end -- - } !{ req.hdr(range) -m str "bytes=0-" }
  http-request set-header X-Forwarded-For %%[src]
`, name, faults, amsterdam.net)
		switch addr, one := backends[name]; {
		case one:
			fmt.Fprintf(&b, "  server s %s\n", addr)
		default: // the instances of a deployment in turn; one that is not ready gets nothing
			b.WriteString("  balance roundrobin\n  option httpchk GET /-/ready\n  option redispatch\n  retries 2\n")
			for _, i := range w.instances {
				if (i.deployment == sandbox) == (name == sandboxName) {
					fmt.Fprintf(&b, "  server %s %s:8080 check inter 1s\n", i.name, i.addr)
				}
			}
		}
	}
	file := filepath.Join(w.dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	w.haproxy = parts.Start(t, parts.Spec{
		Path: parts.Find(t, "haproxy"), Args: []string{"-db", "-f", file}, Ready: parts.Dial("tcp", parts.Host()+":443"), Abrupt: true,
	})
}

// fault gives what is behind a name (a store, config, up) a fault; "" ends all faults.
func (w *world) fault(t testing.TB, name, fault string) {
	t.Helper()
	file := filepath.Join(w.dir, "faults.map")
	command := fmt.Sprintf("clear map %s\n", file)
	if fault != "" {
		command = fmt.Sprintf("add map %s %s%s %s\n", file, name, domain, fault)
	}
	conn, err := net.Dial("unix", filepath.Join(w.dir, "haproxy.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(command)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1000)
	if n, _ := conn.Read(answer); strings.TrimSpace(string(answer[:n])) != "" {
		t.Fatalf("haproxy: %s: %s", command, answer[:n])
	}
}

// configuration is a configuration of production with the named stores. All instances use the same one.
func (w *world) configuration(stores ...string) proxy.Config {
	overrides, list := proxy.List{}, proxy.List{}
	for _, p := range places {
		if p.at != "" {
			overrides = append(overrides, proxy.Map{"cidr": p.net.String(), "place": p.at})
		}
	}
	for _, name := range stores {
		s := proxy.Map{"name": name, "url": "https://" + name + domain + "/" + strings.SplitN(w.stores[name].URL, "/", 4)[3]}
		switch name {
		case storeUS:
			s["place"], s["serves"] = "aws/us-east-1", proxy.List{"aws", "internet"}
		case storeAz:
			s["place"], s["serves"] = "azure/westeurope", proxy.List{"azure"}
		case storeCDN:
			s["cdn"], s["price"], s["serves"] = "other", proxy.Map{"internet": 0}, proxy.List{"all"}
		}
		list = append(list, s)
	}
	return proxy.Config{
		"version": 1, "listen": ":8080", "admin": ":9090", "location": "gcp/europe-west1",
		"client": proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1, "trusted": proxy.List{"10.77.0.0/16"}}},
		"ranges": proxy.Map{"overrides": overrides},
		"upstreams": proxy.List{
			proxy.Map{"name": "up-us", "url": "https://up" + domain, "place": "gcp/us-central1", "canonical": true},
		},
		"stores": list,
		"probe":  proxy.Map{"maxRPS": 200, "keys": proxy.List{proxy.Map{"name": "test", "key": w.public}}},
		"limits": proxy.Map{"checkTimeout": "5s", "drain": "1s"},
		"log":    proxy.Map{"client": "full"},
	}
}

// write writes a configuration into a file of its own.
func (w *world) write(t *testing.T, name string, c proxy.Config) string {
	t.Helper()
	file := w.path(name)
	c.Write(t, file)
	return file
}

// path is where write writes.
func (w *world) path(name string) string { return filepath.Join(w.dir, name+".yaml") }
