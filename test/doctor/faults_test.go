package doctor

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/test/parts"
)

const (
	wellLayer = "All is well: every host of registry.test that was tried can be reached from here, and a layer came complete and unchanged."
	wellNone  = "All is well: every host of registry.test that was tried can be reached from here; name an image to read a layer too."
	tell      = ", which is not your network's fault: tell the operator of registry.test."
)

func faults(t *testing.T, w *world) []fault {
	all := []fault{
		{name: "well", says: wellLayer},
		{name: "well without an image", target: "registry.test", says: wellNone},
		{name: "well without a list", set: func(t *testing.T, w *world) { w.publish(t, nil) }, says: wellLayer},
	}
	all = append(all, nameFaults()...)
	all = append(all, firewallFaults()...)
	all = append(all, proxyFaults(t)...)
	all = append(all, certificateFaults()...)
	return append(all, answerFaults()...)
}

func nameFaults() []fault {
	return []fault{
		{name: "no such name", target: "nothing.test/sample/app:1.0",
			says: "The name nothing.test does not exist for your resolver: check the spelling, or let your resolver resolve it."},
		{name: "resolver refuses", target: "registry.invalid/sample/app:1.0",
			says:   "Your resolver answers with an error for registry.invalid: let it resolve it.",
			script: "The name registry.invalid does not exist for your resolver: check the spelling, or let your resolver resolve it."},
		{name: "resolver drops", resolvers: []int{nNowhere}, firewall: drop(nNowhere) + "ip address replace " + ip4(nNowhere) + "/32 dev lo\n",
			says: "No resolver of this machine answers (203.0.113.99): correct /etc/resolv.conf, or let port 53 (UDP and TCP) through to it."},
		{name: "no resolver there", resolvers: []int{nProxy},
			says: "No resolver of this machine answers (203.0.113.14): correct /etc/resolv.conf, or let port 53 (UDP and TCP) through to it."},
		{name: "resolver does not know the store", resolvers: []int{nIgnorant},
			says: "Your resolver does not know store.test: let it resolve it."},
		{name: "resolvers differ", resolvers: []int{nResolver, nIgnorant},
			says:   "Your resolvers disagree about store.test (no address from 203.0.113.55, one from 203.0.113.53), so pulls fail by chance: correct 203.0.113.55, or remove it from /etc/resolv.conf.",
			script: wellLayer},
		{name: "first resolver is dead", resolvers: []int{nNowhere, nResolver}, firewall: drop(nNowhere) + "ip address replace " + ip4(nNowhere) + "/32 dev lo\n",
			says:   "No answer comes from the resolver 203.0.113.99, only from 203.0.113.53, so look-ups lose seconds: repair 203.0.113.99, or remove it from /etc/resolv.conf.",
			script: "-"},
	}
}

func firewallFaults() []fault {
	v6 := "IPv6 to %s is broken while IPv4 works, so clients lose seconds at each connection or fail: let firewall and router pass IPv6, or switch IPv6 off on this machine."
	return []fault{
		{name: "IPv6 is dropped", firewall: drop6(nRegistry) + drop6(nUpstream) + drop6(nStore) + drop6(nFar),
			says: fmt.Sprintf(v6, "registry.test, upstream.test, store.test and far.test")},
		{name: "IPv6 to the store is rejected", firewall: reject6(nStore), says: fmt.Sprintf(v6, "store.test")},
		{name: "no IPv6 here", firewall: "ip -n client -6 route del default\n", says: wellLayer},
		{name: "IPv4 is dropped", firewall: drop4(nStore), says: strings.NewReplacer("IPv6", "IPv4", "IPv4", "IPv6").Replace(fmt.Sprintf(v6, "store.test"))},
		{name: "everything is dropped", firewall: "nft add rule inet fault input tcp dport 443 drop\n",
			says: "Nothing of registry.test can be reached from here (no answer): let the firewall allow TCP port 443 to registry.test."},
		{name: "everything is rejected", firewall: reject(nRegistry) + reject(nUpstream) + reject(nStore) + reject(nFar),
			says: "Nothing of registry.test can be reached from here (no route to host): let the firewall allow TCP port 443 to registry.test."},
		{name: "the registry refuses", firewall: refuse(nRegistry),
			says: "Connections to registry.test are refused: let the firewall allow TCP port 443 to registry.test, or tell the operator of registry.test if it does."},
		{name: "no network", firewall: "ip -n client route del default\nip -n client -6 route del default\nip -n client route add " + ip4(nResolver) + " via " + router4 + "\n",
			says: "This machine has no route to registry.test: connect it to a network, or set HTTPS_PROXY if it must use a proxy."},
		{name: "blackhole route to the store", firewall: "ip -n client route add blackhole " + ip4(nStore) + "\nip -n client -6 route add prohibit " + ip6(nStore) + "\n",
			says:   "A firewall or router rejects connections to store.test (invalid argument): let it allow TCP port 443 to store.test.",
			script: "-"},
		{name: "the store is dropped", firewall: drop(nStore), says: "A firewall drops connections to store.test: let it allow TCP port 443 to store.test."},
		{name: "two stores are dropped", firewall: drop(nStore) + drop(nFar),
			says: "A firewall drops connections to store.test and far.test: let it allow TCP port 443 to store.test and far.test."},
		{name: "a store of the list is dropped", target: "registry.test", firewall: drop(nFar),
			says: "A firewall drops connections to far.test: let it allow TCP port 443 to far.test."},
		{name: "the store is refused", firewall: refuse(nStore),
			says: "Connections to store.test are refused: let the firewall allow TCP port 443 to store.test, or tell the operator of registry.test if it does."},
		{name: "the store is rejected", firewall: reject(nStore),
			says: "A firewall or router rejects connections to store.test (no route to host): let it allow TCP port 443 to store.test."},
		{name: "cut off by name", set: func(_ *testing.T, w *world) { w.edges["store.test"].set(cut) },
			says: "Connections to store.test are cut off as soon as the name is sent: let the firewall allow it by name."},
		{name: "held", set: func(_ *testing.T, w *world) { w.edges["store.test"].set(hold) },
			says: "Connections to store.test open, but no data come back: let the firewall pass them, or lower the MTU of this network (VPN)."},
	}
}

// proxyFaults are about tinyproxy, on the address of its host. The client reaches nothing without it, unless stated.
func proxyFaults(t *testing.T) []fault {
	direct := ""
	for _, n := range []int{nRegistry, nUpstream, nStore, nFar} {
		direct += fmt.Sprintf("nft add rule inet fault input ip saddr 198.51.100.2 ip daddr %s drop\n", ip4(n)) + drop6(n)
	}
	env := func(port int) []string { return []string{"HTTPS_PROXY=http://proxy.test:" + fmt.Sprint(port)} }
	tiny(t, 3128, "")
	tiny(t, 3129, "FilterDefaultDeny No\nFilter \""+write(t, filepath.Join(t.TempDir(), "filter"), []byte("store\\.test\n"))+"\"\n")
	tiny(t, 3130, "BasicAuth someone secret\n")
	tiny(t, 3131, "Upstream http 127.0.0.1:9 \"store.test\"\n")
	refuses := "The proxy proxy.test:3129 refuses connections to store.test (403): let it allow TCP port 443 to store.test"
	return []fault{
		{name: "through a proxy", firewall: direct, env: env(3128), says: wellLayer},
		{name: "the proxy refuses the store", firewall: direct, env: env(3129), says: refuses + "."},
		{name: "the proxy refuses what works directly", env: env(3129),
			says: refuses + ", or name it in NO_PROXY, because direct connections work."},
		{name: "the store is not for the proxy", env: append(env(3129), "NO_PROXY=store.test"), says: wellLayer},
		{name: "the proxy wants a login", firewall: direct, env: env(3130),
			says: "The proxy proxy.test:3130 wants a user and password (407): write them into HTTPS_PROXY as http://USER:PASSWORD@proxy.test:3130."},
		{name: "the proxy has a login", firewall: direct, env: []string{"HTTPS_PROXY=http://someone:secret@proxy.test:3130"}, says: wellLayer},
		{name: "the proxy does not reach the store", firewall: direct, env: env(3131),
			says: "The proxy proxy.test:3131 cannot reach store.test (502): let its own firewall and resolver allow it."},
		{name: "the proxy is dead", env: env(9),
			says: "The proxy proxy.test:9 of your environment does not answer: start it, or correct HTTPS_PROXY."},
		{name: "the proxy is dropped", env: env(3128), firewall: drop(nProxy),
			says: "The proxy proxy.test:3128 of your environment does not answer: start it, or correct HTTPS_PROXY."},
		{name: "the proxy has no name", env: []string{"HTTPS_PROXY=http://nowhere.test:3128"},
			says: "The proxy nowhere.test:3128 of your environment does not answer: start it, or correct HTTPS_PROXY."},
		{name: "the variable is no URL", env: []string{"HTTPS_PROXY=gopher://proxy.test:3128"},
			says: "The proxy in HTTPS_PROXY of your environment cannot be read: write http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with special characters as %XX."},
	}
}

// tiny starts tinyproxy.
func tiny(t *testing.T, port int, more string) {
	t.Helper()
	config := fmt.Sprintf("Port %d\nListen %s\nTimeout 20\nLogLevel Warning\nDisableViaHeader Yes\n", port, ip4(nProxy)) + more
	parts.Start(t, parts.Spec{
		Path: parts.Find(t, "tinyproxy"), Args: []string{"-d", "-c", write(t, filepath.Join(t.TempDir(), "tinyproxy.conf"), []byte(config))},
		Ready: parts.Dial("tcp", fmt.Sprintf("%s:%d", ip4(nProxy), port)), Abrupt: true,
	})
}

// certified makes hosts show a certificate of an authority, from a time on, for a name ("": their own).
func certified(a func(*world) *authority, from time.Duration, name string, hosts ...string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		for _, host := range hosts {
			as := name
			if as == "" {
				as = host
			}
			w.edges[host].set(serve(t, a(w).issue(t, time.Now().Add(from), as), w.handler(host, from)))
		}
	}
}

// handler is what a host does normally; its clock is ahead.
func (w *world) handler(host string, ahead time.Duration) http.Handler {
	dated := func(r *http.Response) error {
		if ahead > 0 {
			r.Header.Set("Date", time.Now().Add(ahead+time.Hour).UTC().Format(http.TimeFormat))
		}
		return nil
	}
	if host == "registry.test" {
		return w.front(dated)
	}
	return relay(w.backends[host], nil, dated)
}

func public(w *world) *authority  { return w.public }
func private(w *world) *authority { return w.private }

// trusted adds the interceptor's authority to what the client trusts.
func trusted(t *testing.T, w *world) []string {
	file := write(t, filepath.Join(w.dir, "both.pem"), append(append([]byte{}, w.public.pem...), w.private.pem...))
	return []string{"SSL_CERT_FILE=" + file}
}

var everyHost = []string{"registry.test", "upstream.test", "store.test", "far.test"}

func certificateFaults() []fault {
	return []fault{
		{name: "the store is intercepted", set: certified(private, -time.Hour, "", "store.test"),
			says: `Your network intercepts TLS to store.test with certificates of "Example Corp Inspection", which this machine does not trust: exempt it from the inspection, or make machines and runtimes trust that authority.`},
		{name: "everything is intercepted", set: certified(private, -time.Hour, "", everyHost...),
			says: `The certificate of registry.test is of "Example Corp Inspection", which this machine does not trust: if your network inspects TLS, exempt it or trust that authority, otherwise tell the operator of registry.test.`},
		{name: "a trusted interceptor", set: certified(private, -time.Hour, "", "store.test"), env: []string{"TRUST"},
			says:   `Pulls work here, but your network re-signs TLS to store.test with "Example Corp Inspection": every machine and runtime that pulls must trust that authority.`,
			script: wellLayer},
		{name: "a portal with another certificate", set: certified(public, -time.Hour, "portal.example", everyHost...),
			says:   "registry.test shows a certificate for portal.example: log in to this network if it has a portal, or correct what your resolver says of it.",
			script: "registry.test shows a certificate for another name: log in to this network if it has a portal, or correct what your resolver says of it."},
		{name: "the certificate has expired", set: certified(public, -72*time.Hour, "", "store.test"),
			says:   "The certificate of store.test expired on " + time.Now().Add(-48*time.Hour).UTC().Format(time.DateOnly) + tell,
			script: "The certificate of store.test expired" + tell},
		{name: "the clock is behind", set: certified(public, 71*time.Hour, "", everyHost...),
			says: "The clock of this machine is 3 days behind: set it, and let it be kept by NTP."},
	}
}

// behind makes the store change its answers, behind a certificate of an authority.
func behind(a func(*world) *authority, host string, answer func(*http.Response) error) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		handler := relay(w.backends[host], nil, answer)
		if host == "registry.test" {
			handler = w.front(answer)
		}
		w.edges[host].set(serve(t, a(w).issue(t, time.Now().Add(-time.Hour), host), handler))
	}
}

// instead is an answer in place of those of layers or manifests, and of nothing else.
func instead(status int, kind, body string) func(*http.Response) error {
	return func(r *http.Response) error {
		if !strings.Contains(r.Request.URL.Path, "containers/") && !strings.Contains(r.Request.URL.Path, "/manifests/") {
			return nil
		}
		r.Body.Close()
		r.StatusCode, r.Status = status, ""
		r.Header = http.Header{"Content-Type": {kind}}
		r.ContentLength, r.Body = int64(len(body)), io.NopCloser(strings.NewReader(body))
		return nil
	}
}

// spoil changes a byte of each large answer.
func spoil(r *http.Response) error {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode == http.StatusOK && len(body) > 0 {
		body[len(body)/2] ^= 1
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

func answerFaults() []fault {
	const xml = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`
	const html = "<!DOCTYPE html><html><body>Please log in</body></html>"
	noRanges := func(a func(*world) *authority) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			handler := relay(w.backends["store.test"], func(r *http.Request) { r.Header.Del("Range") }, nil)
			w.edges["store.test"].set(serve(t, a(w).issue(t, time.Now().Add(-time.Hour), "store.test"), handler))
		}
	}
	registry := func(status int) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			w.edges["registry.test"].set(serve(t, w.certs["registry.test"], http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) })))
		}
	}
	return []fault{
		{name: "a VPC endpoint's policy", set: behind(public, "store.test", instead(403, "application/xml", xml)),
			says: "The bucket blobs at store.test denies a layer that it should have (403 AccessDenied): allow s3:GetObject on arn:aws:s3:::blobs/* in the policy of your VPC endpoint, and tell the operator of registry.test if you have none."},
		{name: "a web filter refuses the store", set: behind(public, "store.test", instead(403, "text/plain", "no")),
			says: "store.test refuses a layer (403): exempt it from the web filter if your network has one, otherwise tell the operator of registry.test."},
		{name: "a portal in place of the registry", env: []string{"TRUST"},
			set: func(t *testing.T, w *world) {
				for _, host := range everyHost {
					w.edges[host].set(serve(t, w.private.issue(t, time.Now().Add(-time.Hour), host), page(html)))
				}
			},
			says: "A web page comes from registry.test in place of the registry's answer: log in to this network, or exempt it from its web filter."},
		{name: "a web page in place of a layer", set: behind(public, "store.test", instead(200, "text/html", html)),
			says: "A web page comes from store.test in place of the registry's answer: log in to this network, or exempt it from its web filter."},
		{name: "an interceptor changes bytes", set: behind(private, "store.test", spoil), env: []string{"TRUST"},
			says:   "Something between here and store.test changes the bytes of layers: exempt store.test from the proxy or scanner that does it.",
			script: between("changes the bytes of layers")},
		{name: "the store is damaged", set: behind(public, "store.test", spoil),
			says:   "store.test sends other bytes than the digest of the layer says" + tell,
			script: between("changes the bytes of layers")},
		{name: "an interceptor breaks ranges", set: noRanges(private), env: []string{"TRUST"},
			says:   "Something between here and store.test breaks requests for a part of a layer, so that interrupted pulls fail: exempt store.test from the proxy or scanner that does it.",
			script: between("breaks requests for a part of a layer, so that interrupted pulls fail")},
		{name: "the store breaks ranges", set: noRanges(public),
			says:   "store.test does not answer requests for a part of a layer" + tell,
			script: between("breaks requests for a part of a layer, so that interrupted pulls fail")},
		{name: "the registry is broken", set: registry(503), says: "registry.test answers 503 Service Unavailable" + tell, script: "registry.test answers 503" + tell},
		{name: "the registry limits", set: registry(429), says: "registry.test answers that there are too many requests (429)" + tell},
		{name: "the registry wants a login", set: registry(401), says: "registry.test asks for a login (401)" + tell},
		{name: "the store is broken", set: behind(public, "store.test", instead(500, "text/plain", "")),
			says: "store.test answers 500 Internal Server Error" + tell, script: "store.test answers 500" + tell},
		{name: "the store lost the layer", set: behind(public, "store.test", instead(404, "text/plain", "")),
			says: "store.test answers 404 to a layer that the image has" + tell},
		{name: "no such image", target: "registry.test/sample/app:2.0", says: "registry.test has no image sample/app:2.0: check its name and tag."},
	}
}

// between is what the script says of a fault that may be the store's: it cannot see whether a certificate is public.
func between(what string) string {
	return "Something between here and store.test " + what +
		": exempt store.test from the proxy or scanner that does it, and tell the operator of registry.test if there is none."
}

func page(html string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(rw, html)
	})
}
