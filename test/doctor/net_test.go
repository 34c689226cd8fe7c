package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// The client has a network namespace of its own, behind a router that is this machine. Each host has an address of
// documentation in each family (RFC 5737, RFC 3849), all of them on the router.
const (
	clientNS = "client"
	router4  = "198.51.100.1"
	router6  = "2001:db8:9::1"
)

// prepare makes the client's network.
const prepare = `
ip netns add client
ip link add s0 type veth peer name c0 netns client
ip address add 198.51.100.1/24 dev s0
ip address add 2001:db8:9::1/64 dev s0 nodad
ip link set s0 up
ip -n client link set lo up
ip -n client address add 198.51.100.2/24 dev c0
ip -n client address add 2001:db8:9::2/64 dev c0 nodad
ip -n client link set c0 up
`

// reset takes all faults away.
const reset = `
nft flush ruleset
nft add table inet fault
nft add chain inet fault input '{ type filter hook input priority 0; }'
for host in 10 11 12 13 53; do
  ip -n client route del 203.0.113.$host 2>/dev/null || :
  ip -n client route del blackhole 203.0.113.$host 2>/dev/null || :
  ip -n client -6 route del prohibit 2001:db8:100::$host 2>/dev/null || :
done
ip -n client route replace default via 198.51.100.1
ip -n client -6 route replace default via 2001:db8:9::1
`

func sh(t *testing.T, script string) {
	t.Helper()
	parts.Run(t, 20*time.Second, "/bin/sh", "-ec", script)
}

// ip4 and ip6 are the addresses of host number n.
func ip4(n int) string { return fmt.Sprintf("203.0.113.%d", n) }
func ip6(n int) string { return fmt.Sprintf("2001:db8:100::%d", n) }

// Rules of the router's firewall.
func drop(n int) string { return drop4(n) + drop6(n) }
func drop4(n int) string {
	return "nft add rule inet fault input ip daddr " + ip4(n) + " drop\n"
}

func drop6(n int) string {
	return "nft add rule inet fault input ip6 daddr " + ip6(n) + " drop\n"
}

func refuse(n int) string {
	return "nft add rule inet fault input meta l4proto tcp ip daddr " + ip4(n) + " reject with tcp reset\n" +
		"nft add rule inet fault input meta l4proto tcp ip6 daddr " + ip6(n) + " reject with tcp reset\n"
}

func reject(n int) string {
	return "nft add rule inet fault input ip daddr " + ip4(n) + " reject with icmp admin-prohibited\n" +
		"nft add rule inet fault input ip6 daddr " + ip6(n) + " reject with icmpv6 admin-prohibited\n"
}

func reject6(n int) string {
	return "nft add rule inet fault input ip6 daddr " + ip6(n) + " reject with icmpv6 admin-prohibited\n"
}

// resolver starts dnsmasq on the address of host n. It knows the given hosts, and no other of the domain test.
func resolver(t *testing.T, n int, hosts map[string]int) {
	t.Helper()
	var lines strings.Builder
	for name, number := range hosts {
		fmt.Fprintf(&lines, "%s %s\n%s %s\n", ip4(number), name, ip6(number), name)
	}
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	parts.Start(t, parts.Spec{
		Path: parts.Find(t, "dnsmasq"),
		Args: []string{"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--addn-hosts=" + file,
			"--local=/test/", "--listen-address=" + ip4(n), "--bind-interfaces", "--pid-file=", "--user=root", "--log-facility=-"},
		Ready: parts.Dial("tcp", ip4(n)+":53"), Abrupt: true,
	})
}

// addresses gives the machine the addresses of hosts.
func addresses(t *testing.T, numbers ...int) {
	t.Helper()
	var script strings.Builder
	for _, n := range numbers {
		fmt.Fprintf(&script, "ip address add %s/32 dev lo\nip address add %s/128 dev lo nodad\n", ip4(n), ip6(n))
	}
	sh(t, script.String())
}
