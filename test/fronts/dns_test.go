package fronts

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"ociproxy/internal/wait"
	"ociproxy/test/parts"
)

const (
	zone = "registry.example.test"
	ttl  = 1 // seconds; 60 in production
)

// provider is a DNS provider: a name server with health checks and weights, which takes the addresses of the fronts
// from the file when somebody applies it.
type provider interface {
	addr() string
	apply(t testing.TB, addrs []string)
}

// inFile returns the addresses of the fronts that are on.
func inFile(t testing.TB, file string) (list []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Fronts map[string]struct {
			On   bool
			IPv4 []string
		}
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	for _, front := range f.Fronts {
		if front.On {
			list = append(list, front.IPv4...)
		}
	}
	slices.Sort(list)
	return list
}

// zoneFile is the zone without the addresses of the registry.
func zoneFile(serial int64, more string) string {
	return fmt.Sprintf(`$ORIGIN %s.
$TTL %d
@ IN SOA ns1.pdns.example. hostmaster.example.test. %d 10 10 10 %d
@ IN NS ns1.pdns.example.
@ IN NS ns1.knot.example.
%s
`, zone, ttl, serial, ttl, more)
}

// answers is the check that a name server gives one of the addresses.
func answers(server string, addrs []string) func() error {
	return func() error {
		q := new(dns.Msg).SetQuestion(dns.Fqdn(zone), dns.TypeA)
		answer, err := dns.Exchange(q, server)
		if err != nil {
			return err
		}
		for _, rr := range answer.Answer {
			if a, ok := rr.(*dns.A); ok && slices.Contains(addrs, a.A.String()) {
				return nil
			}
		}
		return fmt.Errorf("%s answers %v", server, answer.Answer)
	}
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// powerdns is a provider whose name server checks the fronts itself: once a second, a TCP connection.
type powerdns struct {
	dir, address, port string
	serial             int64
}

func startPowerDNS(t testing.TB, port string, addrs []string) *powerdns {
	t.Helper()
	program := parts.Find(t, "pdns_server")
	p := &powerdns{dir: parts.ShortDir(t), address: parts.FreeAddr(t), port: port}
	write(t, filepath.Join(p.dir, "named.conf"), fmt.Sprintf("zone %q { type master; file %q; };\n", zone, filepath.Join(p.dir, "zone")))
	host, own, err := net.SplitHostPort(p.address)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.dir, "pdns.conf"), strings.Join([]string{
		"launch=bind", "bind-config=" + filepath.Join(p.dir, "named.conf"), "local-address=" + host, "local-port=" + own,
		"socket-dir=" + p.dir, "enable-lua-records=yes", "lua-health-checks-interval=1", "cache-ttl=0", "query-cache-ttl=0",
		"negquery-cache-ttl=0", "daemon=no", "guardian=no", "disable-syslog=yes", "security-poll-suffix=", "",
	}, "\n"))
	p.zone(t, addrs)
	parts.Start(t, parts.Spec{Path: program, Args: []string{"--config-dir=" + p.dir}, Ready: answers(p.address, addrs)})
	return p
}

func (p *powerdns) addr() string { return p.address }

func (p *powerdns) zone(t testing.TB, addrs []string) {
	t.Helper()
	p.serial++
	write(t, filepath.Join(p.dir, "zone"), zoneFile(p.serial, fmt.Sprintf(`@ IN LUA A "ifportup(%s, {'%s'}, {selector='random'})"`,
		p.port, strings.Join(addrs, "','"))))
}

func (p *powerdns) apply(t testing.TB, addrs []string) {
	t.Helper()
	p.zone(t, addrs)
	parts.Run(t, time.Minute, parts.Find(t, "pdns_control"), "--config-dir="+p.dir, "bind-reload-now", zone)
}

// knot is a provider whose name server gives weighted answers. Its health checker is beside it, as a provider's is: it
// asks the fronts for /v2/ and takes those out that fail twice.
type knot struct {
	dir, address string
	wanted       chan []string
}

func startKnot(t testing.TB, port string, roots *x509.CertPool, addrs []string) *knot {
	t.Helper()
	program := parts.Find(t, "knotd")
	k := &knot{dir: parts.ShortDir(t), address: parts.FreeAddr(t), wanted: make(chan []string)}
	host, own, err := net.SplitHostPort(k.address)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(k.dir, "zone"), zoneFile(1, "@ IN A 192.0.2.255"))
	write(t, filepath.Join(k.dir, "knot.conf"), fmt.Sprintf(`server:
    listen: %s@%s
    rundir: %[3]s
log:
  - target: stderr
    any: warning
database:
    storage: %[3]s/db
mod-geoip:
  - id: weighted
    config-file: %[3]s/geo.conf
    ttl: %[4]d
    mode: weighted
zone:
  - domain: %[5]s
    file: %[3]s/zone
    module: mod-geoip/weighted
`, host, own, k.dir, ttl, zone))
	k.weights(t, addrs)
	parts.Start(t, parts.Spec{Path: program, Args: []string{"-c", filepath.Join(k.dir, "knot.conf")}, Ready: answers(k.address, addrs)})
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.check(t, port, roots, addrs)
	}()
	t.Cleanup(func() { close(k.wanted); <-done })
	return k
}

func (k *knot) addr() string { return k.address }

func (k *knot) weights(t testing.TB, addrs []string) {
	text := zone + ":\n"
	for _, addr := range addrs {
		text += "  - weight: 1\n    A: " + addr + "\n"
	}
	if err := os.WriteFile(filepath.Join(k.dir, "geo.conf"), []byte(text), 0o644); err != nil {
		t.Error(err)
	}
}

func (k *knot) apply(_ testing.TB, addrs []string) { k.wanted <- addrs }

// check is the provider's health checker, until wanted is closed.
func (k *knot) check(t testing.TB, port string, roots *x509.CertPool, addrs []string) {
	control, err := findControl()
	if err != nil {
		t.Error(err)
		return
	}
	given, failed := addrs, map[string]int{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case next, open := <-k.wanted:
			if !open {
				return
			}
			addrs = next
		case <-tick.C:
			for _, addr := range addrs {
				if healthy(addr, port, roots) {
					failed[addr] = 0
				} else {
					failed[addr]++
				}
			}
		}
		up := slices.DeleteFunc(slices.Clone(addrs), func(addr string) bool { return failed[addr] >= 2 })
		if len(up) == 0 { // as Route 53: if none is healthy, all are taken for healthy
			up = addrs
		}
		if slices.Equal(up, given) {
			continue
		}
		k.weights(t, up)
		if out, err := control(filepath.Join(k.dir, "knot.conf"), "reload"); err != nil {
			t.Errorf("knotc reload: %v\n%s", err, out)
			return
		}
		given = up
	}
}

// healthy asks one front for /v2/, which is what clients ask first.
func healthy(addr, port string, roots *x509.CertPool) bool {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: zone, MinVersion: tls.VersionTLS12}}}
	resp, err := client.Get("https://" + net.JoinHostPort(addr, port) + "/v2/")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// resolver is that of one client. It asks one of the servers after the other, and keeps an answer for its TTL.
type resolver struct {
	servers []string
	next    int
	addr    string
	until   time.Time
}

func (r *resolver) lookup(t testing.TB) (string, error) {
	if time.Now().Before(r.until) {
		return r.addr, nil
	}
	var last error
	for range 2 * len(r.servers) {
		r.next++
		answer, err := dns.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(dns.Fqdn(zone), dns.TypeA), r.servers[r.next%len(r.servers)])
		if err != nil {
			last = err
			_ = wait.For(t.Context(), 50*time.Millisecond)
			continue
		}
		for _, rr := range answer.Answer {
			if a, ok := rr.(*dns.A); ok {
				r.addr, r.until = a.A.String(), time.Now().Add(time.Duration(a.Hdr.Ttl)*time.Second)
				return r.addr, nil
			}
		}
		last = fmt.Errorf("no address: %v", answer.Answer)
	}
	return "", last
}
