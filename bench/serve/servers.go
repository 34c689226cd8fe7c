package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/proxy"
)

const (
	digest   = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	blobPath = "/v2/library/sample/blobs/" + digest
	tagPath  = "/v2/library/sample/manifests/v1.2.3"
	// location is what every server answers with: the length of a real bucket's URL.
	location = "https://prod-registry-us-east-1.s3.dualstack.us-east-1.amazonaws.com/containers/images/" + digest
)

// server is one that is measured, and its targets by kind ("" for a constant answer).
type server struct {
	name    string
	targets map[string]string
}

// startAll starts the servers on the first core. stop ends them, also after an error.
func startAll(ctx context.Context, dir string) ([]server, func(), error) {
	var stops []func()
	stop := func() {
		for _, f := range stops {
			f()
		}
	}
	binary := filepath.Join(dir, "oci-proxy")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/oci-proxy").CombinedOutput(); err != nil {
		return nil, stop, fmt.Errorf("build: %w\n%s", err, out)
	}
	// The store that the proxy asks once; everything after that is a hit in its table.
	origin := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Content-Length", "1000") }))
	stops = append(stops, origin.Close)
	self, err := os.Executable()
	if err != nil {
		return nil, stop, err
	}
	var servers []server
	launch := func(name string, env []string, kinds map[string]string, addr string, args ...string) error {
		cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", "0"}, args...)...)
		cmd.Env = append(append(os.Environ(), "GOMAXPROCS=1"), env...)
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		stops = append(stops, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
		s := server{name: name, targets: map[string]string{}}
		for kind, path := range kinds {
			s.targets[kind] = "http://" + addr + path
			if err := waitFor(ctx, s.targets[kind]); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		servers = append(servers, s)
		return nil
	}
	constant := map[string]string{"": blobPath}
	addr := freeAddr()
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(proxyConfig(addr, origin.URL)), 0o600); err != nil {
		return nil, stop, err
	}
	if err := launch("proxy", nil, map[string]string{"blob": blobPath, "tag": tagPath}, addr, binary, "serve", "--config", file); err != nil {
		return nil, stop, err
	}
	for _, name := range []string{"bare", "naive"} {
		addr := freeAddr()
		if err := launch(name, nil, constant, addr, self, "-child", name, "-addr", addr); err != nil {
			return nil, stop, err
		}
	}
	if nginx, err := exec.LookPath("nginx"); err == nil {
		addr := freeAddr()
		file := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(file, []byte(nginxConfig(dir, addr)), 0o600); err != nil {
			return nil, stop, err
		}
		if err := launch("nginx", nil, constant, addr, nginx, "-c", file, "-e", filepath.Join(dir, "error.log")); err != nil {
			return nil, stop, err
		}
	} else {
		fmt.Fprintln(os.Stderr, "nginx is not installed: no vs_nginx")
	}
	return servers, stop, nil
}

// proxyConfig is a server as in production: the client behind a load balancer, metrics on, access log off.
func proxyConfig(addr, origin string) string {
	return fmt.Sprintf(`version: 1
listen: %q
admin: "127.0.0.1:0"
client: {behind: {header: X-Forwarded-For, entry: 1}}
log: {requests: 0, level: warn}
ranges: {overrides: [{cidr: 192.0.2.0/24, place: aws/us-east-1}]}
upstreams: [{name: us, url: "https://us-central1-docker.pkg.dev", prefix: project/images, place: gcp/us-central1, canonical: true}]
stores:
  - {name: s3, place: aws/us-east-1, serves: [aws], url: "https://prod-registry-us-east-1.s3.dualstack.us-east-1.amazonaws.com/containers/images/{digest}",
     check: "%s/{digest}", insecure: true}
`, addr, origin)
}

func nginxConfig(dir, addr string) string {
	return fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/nginx.pid; error_log %[1]s/error.log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s;
 uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
 server { listen %[2]s; location / { add_header Cache-Control no-store always; return 307 %[3]s; } } }
`, dir, addr, location)
}

// serveChild is a server that decides nothing.
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

func freeAddr() string {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err) // a machine without loopback measures nothing
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// waitFor asks until the server answers 307, as the simulated AWS client does.
func waitFor(ctx context.Context, url string) error {
	client := &http.Client{Timeout: time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		req.Header.Set("X-Forwarded-For", clientAddr)
		resp, err := client.Do(req)
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusTemporaryRedirect {
			return nil
		}
	}
	return errors.New("no redirect within 20 s")
}
