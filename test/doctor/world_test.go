package doctor

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
)

// The numbers of hosts.
const (
	nRegistry = iota + 10
	nUpstream
	nStore
	nFar   // a store that is only on the list
	nProxy // an HTTP proxy
	nInner // + the number of a host: how the servers reach each other, whatever the client meets
)

const (
	nResolver  = 53
	nResolver2 = 54 // knows everything too
	nIgnorant  = 55 // does not know the store
	nNowhere   = 99 // no address
)

var numbers = map[string]int{"registry.test": nRegistry, "upstream.test": nUpstream, "store.test": nStore, "far.test": nFar, "proxy.test": nProxy}

// world is a registry behind oci-proxy with a store, and a client.
type world struct {
	public, private *authority // what the system of the client trusts, and an interceptor's
	edges           map[string]*edge
	normal          map[string]func(net.Conn)
	certs           map[string]tls.Certificate
	backends        map[string]string // URLs
	list            atomic.Pointer[[]byte]
	client          atomic.Int32 // the last byte of the address that the proxy sees
	store           *s3.Store
	img             *image.Image
	dir             string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		public: newAuthority(t, "Public Test CA", true), private: newAuthority(t, "Example Corp Inspection", false),
		edges: map[string]*edge{}, normal: map[string]func(net.Conn){}, certs: map[string]tls.Certificate{},
		backends: map[string]string{}, dir: t.TempDir(),
	}
	all := []int{nResolver, nResolver2, nIgnorant}
	for _, n := range numbers {
		all = append(all, n, nInner+n)
	}
	sh(t, prepare)
	addresses(t, all...)
	w.servers(t)
	resolver(t, nResolver, numbers)
	resolver(t, nResolver2, numbers)
	less := map[string]int{}
	for name, n := range numbers {
		if name != "store.test" {
			less[name] = n
		}
	}
	resolver(t, nIgnorant, less)
	return w
}

// servers starts the registry, the store, oci-proxy and the ports 443 of all hosts.
func (w *world) servers(t *testing.T) {
	t.Helper()
	for name := range numbers {
		w.certs[name] = w.public.issue(t, time.Now().Add(-time.Hour), name)
	}
	upstream := registry.Start(t)
	w.store = s3.Start(t, "us-east-1")
	w.img = image.New(t, 3, 20<<10, 200<<10)
	w.img.Push(t, upstream.Addr, "sample/app", "1.0")
	for _, b := range w.img.Arch["amd64"].Blobs {
		w.store.Put(t, b.Digest, b.Read(t))
	}
	w.backends["upstream.test"], w.backends["store.test"], w.backends["far.test"] = upstream.URL, "http://"+w.store.Addr, "http://"+w.store.Addr
	for _, name := range []string{"upstream.test", "store.test", "far.test"} {
		w.normal[name] = serve(t, w.certs[name], relay(w.backends[name], nil, nil))
		newEdge(t, nInner+numbers[name]).set(w.normal[name])
	}
	w.insideNames(t)
	trust := write(t, filepath.Join(w.dir, "public.pem"), w.public.pem)
	p := proxy.Start(t, proxy.Config{
		"location": "aws/us-east-1",
		"ranges":   proxy.Map{"overrides": proxy.List{proxy.Map{"cidr": "198.18.0.0/15", "place": "aws/us-east-1"}}},
		"client":   proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1, "trusted": proxy.List{parts.Host() + "/32"}}},
		"upstreams": proxy.List{
			proxy.Map{"name": "main", "url": "https://upstream.test", "place": "gcp/us-central1", "canonical": true},
		},
		"stores": proxy.List{
			proxy.Map{"name": "s3", "url": strings.Replace(w.store.URL, "http://"+w.store.Addr, "https://store.test", 1), "place": "aws/us-east-1", "serves": proxy.List{"aws"}},
		},
		"limits": proxy.Map{"checkTimeout": "5s"},
	}, "SSL_CERT_FILE="+trust)
	w.backends["registry.test"] = "http://" + p.Addr
	w.normal["registry.test"] = serve(t, w.certs["registry.test"], w.front(nil))
	newEdge(t, nInner+nRegistry).set(w.normal["registry.test"])
	for _, name := range []string{"registry.test", "upstream.test", "store.test", "far.test"} {
		w.edges[name] = newEdge(t, numbers[name])
	}
}

// front is the load balancer before oci-proxy. It has the published list.
func (w *world) front(answer func(*http.Response) error) http.Handler {
	to := relay(w.backends["registry.test"], func(r *http.Request) {
		// Each run comes from another address. Otherwise the proxy would take it for a download that failed, and send it
		// elsewhere.
		program := 7
		if strings.Contains(r.UserAgent(), ".sh") {
			program = 8
		}
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.18.%d.%d", program, w.client.Load()))
	}, answer)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if list := w.list.Load(); list != nil && r.URL.Path == "/.well-known/oci-proxy/endpoints.json" {
			_, _ = rw.Write(*list)
			return
		}
		to.ServeHTTP(rw, r)
	})
}

// insideNames makes the servers reach each other past everything that the client meets.
func (w *world) insideNames(t *testing.T) {
	t.Helper()
	text := "127.0.0.1 localhost\n"
	for name, n := range numbers {
		text += ip4(nInner+n) + " " + name + "\n"
	}
	file := write(t, filepath.Join(w.dir, "hosts"), []byte(text))
	sh(t, "mount --bind "+file+" /etc/hosts")
}

// publish sets the list of hosts. nil: there is none.
func (w *world) publish(t *testing.T, names []string) {
	t.Helper()
	if names == nil {
		w.list.Store(nil)
		return
	}
	kinds := map[string]string{"registry.test": "registry", "upstream.test": "upstream"}
	var endpoints []map[string]any
	for _, name := range names {
		e := map[string]any{"host": name, "port": 443, "kind": kinds[name]}
		if kinds[name] == "" {
			e["kind"], e["bucket"], e["objects"] = "store", "arn:aws:s3:::blobs", "containers/images/"
		}
		endpoints = append(endpoints, e)
	}
	text, err := json.Marshal(map[string]any{"format": 1, "version": "v1", "endpoints": endpoints})
	if err != nil {
		t.Fatal(err)
	}
	w.list.Store(&text)
}

// reset takes all faults away.
func (w *world) reset(t *testing.T) {
	t.Helper()
	w.client.Add(1)
	sh(t, reset)
	for name, handle := range w.normal {
		if e := w.edges[name]; e != nil {
			e.set(handle)
		}
	}
	w.publish(t, []string{"registry.test", "upstream.test", "store.test", "far.test"})
}

// inClient runs its arguments after the first two, the client's resolv.conf and hosts, in the client's network.
const inClient = `
mount --bind "$1" /etc/resolv.conf
mount --bind "$2" /etc/hosts
shift 2
exec nsenter --net=/run/netns/client "$@"
`

// run runs a program on the client. It returns what the program prints, and its exit code.
func (w *world) run(t *testing.T, resolvers []int, env []string, program ...string) (string, int) {
	t.Helper()
	conf := ""
	for _, n := range resolvers {
		conf += "nameserver " + ip4(n) + "\n"
	}
	dir := t.TempDir()
	args := append([]string{"--mount", "sh", "-ec", inClient, "sh", write(t, filepath.Join(dir, "resolv.conf"), []byte(conf)),
		write(t, filepath.Join(dir, "hosts"), []byte("127.0.0.1 localhost\n"))}, program...)
	cmd := exec.CommandContext(t.Context(), parts.Find(t, "unshare"), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "TMPDIR=" + dir, "HOME=" + dir, "SSL_CERT_FILE=" + filepath.Join(w.dir, "public.pem")}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
