package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ociproxy/bench/process"
	"ociproxy/internal/config"
	"ociproxy/internal/existence"
	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
	"ociproxy/internal/proxy"
)

const (
	// digests is the number of digests that the load asks for; listed is the number in the inventory.
	digests, listed = 1000, 100_000
	probePath       = "/v2/library/sample/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000001"
	// bucket has the length of a real bucket's URL. All servers answer with it.
	bucket   = "https://prod-registry-us-east-1.s3.dualstack.us-east-1.amazonaws.com/containers/images/"
	location = bucket + "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// server is a server under measurement.
type server struct{ name, addr string }

// target is a server and the kind of requests that it gets.
type target struct{ addr, kind string }

// fleet starts the servers, each on the first core.
type fleet struct {
	ctx     context.Context
	dir     string
	servers []server
	stops   []func()
}

func (f *fleet) stop() {
	for _, stop := range f.stops {
		stop()
	}
}

// startAll starts the servers. stop ends them; call it after an error too.
func startAll(ctx context.Context, dir string) ([]server, func(), error) {
	f := &fleet{ctx: ctx, dir: dir}
	err := f.start()
	return f.servers, f.stop, err
}

func (f *fleet) start() error {
	binary, err := process.Build(f.ctx, f.dir)
	if err != nil {
		return err
	}
	origin, err := f.store()
	if err != nil {
		return err
	}
	for name, stanza := range map[string]string{"proxy": fmt.Sprintf(`inventory: {url: "%s/inventory/"},`, origin), "head": ""} {
		addr, err := process.FreeAddr()
		if err != nil {
			return err
		}
		file := filepath.Join(f.dir, name+".yaml")
		if err := os.WriteFile(file, []byte(proxyConfig(addr, origin, stanza)), 0o600); err != nil {
			return err
		}
		if err := f.launch(name, addr, binary, "serve", "--config", file); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, name := range []string{"bare", "naive"} {
		addr, err := process.FreeAddr()
		if err != nil {
			return err
		}
		if err := f.launch(name, addr, self, "-child", name, "-addr", addr); err != nil {
			return err
		}
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		fmt.Fprintln(os.Stderr, "nginx is not installed: no vs_nginx")
		return nil
	}
	addr, err := process.FreeAddr()
	if err != nil {
		return err
	}
	file := filepath.Join(f.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(nginxConfig(f.dir, addr)), 0o600); err != nil {
		return err
	}
	return f.launch("nginx", addr, nginx, "-c", file, "-e", filepath.Join(f.dir, "error.log"))
}

// store starts a store that has everything and publishes an inventory.
func (f *fleet) store() (url string, err error) {
	b := &inventorytest.Bucket{}
	records := make([]inventory.Record, listed)
	for i := range records {
		if records[i].Digest, err = oci.ParseDigest(fmt.Sprintf("sha256:%064x", i)); err != nil {
			return "", err
		}
		records[i].Size, records[i].Kind = 1000, inventory.Blob
	}
	if _, err := write.New(b, write.Options{Store: "s3"}).Apply(f.ctx, records...); err != nil {
		return "", err
	}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/inventory/") {
			http.StripPrefix("/inventory", b).ServeHTTP(rw, r)
			return
		}
		if strings.Contains(r.URL.Path, existence.Nowhere) { // the proxy distrusts a store that has this digest
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		rw.Header().Set("Content-Length", "1000")
	}))
	f.stops = append(f.stops, srv.Close)
	return srv.URL, nil
}

func (f *fleet) launch(name, addr string, args ...string) error {
	cmd := process.Command(f.ctx, "taskset", append([]string{"-c", "0"}, args...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	stop, err := process.Start(cmd)
	if err != nil {
		return err
	}
	f.stops = append(f.stops, stop)
	err = process.Until(f.ctx, 20*time.Second, 20*time.Millisecond, func() bool {
		_, to, err := process.Get(f.ctx, "http://"+addr+probePath, clientAddr)
		return err == nil && strings.HasPrefix(to, bucket)
	})
	if err != nil {
		return fmt.Errorf("%s does not redirect to the bucket: %w", name, err)
	}
	f.servers = append(f.servers, server{name, addr})
	return nil
}

// proxyConfig returns a config as in production: clients come through a load balancer, metrics are on, the access log
// is off.
func proxyConfig(addr, origin, inventory string) string {
	return fmt.Sprintf(`version: 1
listen: %q
admin: "127.0.0.1:0"
location: gcp/us-central1
client: {behind: {header: X-Forwarded-For, entry: 1}}
log: {requests: 0, level: error}
ranges: {overrides: [{cidr: 3.0.0.0/8, place: aws/us-east-1}]}
upstreams: [{name: us, url: "https://us-central1-docker.pkg.dev", prefix: project/images, place: gcp/us-central1, canonical: true}]
stores:
  - {name: s3, place: aws/us-east-1, serves: [aws], url: "%s{digest}", check: "%s/{digest}", %s insecure: true}
`, addr, bucket, origin, inventory)
}

// nginxConfig returns a config for a single process: a worker would outlive a master that is killed.
func nginxConfig(dir, addr string) string {
	return fmt.Sprintf(`daemon off; master_process off; pid %[1]s/nginx.pid; error_log %[1]s/error.log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s;
 uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
 server { listen %[2]s; location / { add_header Cache-Control no-store always; return 307 %[3]s; } } }
`, dir, addr, location)
}

// serveChild runs a server that decides nothing.
func serveChild(name, addr string) error {
	if name == "naive" {
		return http.ListenAndServe(addr, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, location, http.StatusTemporaryRedirect)
		}))
	}
	noStore, zero := []string{"no-store"}, []string{"0"}
	to := []string{location}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	return proxy.HTTPServer(config.Default().Limits, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		h := rw.Header()
		h["Cache-Control"], h["Location"], h["Content-Length"] = noStore, to, zero
		rw.WriteHeader(http.StatusTemporaryRedirect)
	})).Serve(l)
}
