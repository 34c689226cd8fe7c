package test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// lone returns a config with one upstream that no test asks, for tests of the server itself.
func lone(home string) proxy.Config {
	return proxy.Config{
		"pages":     proxy.Map{"home": home},
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": "https://upstream.invalid", "place": "gcp/us-central1", "canonical": true}},
	}
}

// home returns where `/` redirects to.
func home(p *proxy.Proxy) (string, error) {
	client := noRedirect(&http.Transport{DisableKeepAlives: true})
	client.Timeout = 5 * time.Second
	resp, err := client.Get(p.URL("/"))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return resp.Header.Get("Location"), nil
}

func waitHome(t *testing.T, p *proxy.Proxy, want string) {
	t.Helper()
	eventually(t, "new configuration in use", func() error {
		got, err := home(p)
		if err == nil && got != want {
			err = fmt.Errorf("/ leads to %s, want %s", got, want)
		}
		return err
	})
}

// After SIGTERM the server is not ready at once, still answers until the drain time is over, and then exits with 0.
func TestDrain(t *testing.T) {
	p := proxy.Start(t, lone("https://example.org/").With(proxy.Map{"limits": proxy.Map{"drain": "3s"}}))
	p.Signal(t, syscall.SIGTERM)
	start := time.Now()
	parts.Poll(t, 2*time.Second, "not ready", parts.HTTP(p.URL("/-/ready"), http.StatusServiceUnavailable))
	for _, path := range []string{"/v2/", "/-/live"} {
		if err := parts.HTTP(p.URL(path), http.StatusOK)(); err != nil {
			t.Errorf("while draining: %v", err)
		}
	}
	if code := p.Wait(t, 15*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("it answered for %v only, want 3 s", took)
	}
}

// SIGHUP makes the server read the file again. A bad file changes nothing and is counted. The server takes the next
// good file.
func TestReloadOnHangup(t *testing.T) {
	config := lone("https://example.org/1").Defaults(t)
	p := proxy.Start(t, config)
	waitHome(t, p, "https://example.org/1")

	config.With(proxy.Map{"pages": proxy.Map{"home": "https://example.org/2"}}).Write(t, p.File)
	p.Signal(t, syscall.SIGHUP)
	waitHome(t, p, "https://example.org/2")

	config.With(proxy.Map{"pages": proxy.Map{"home": "https://example.org/3"}, "upstreams": proxy.List{}}).Write(t, p.File)
	p.Signal(t, syscall.SIGHUP)
	eventually(t, "bad file counted", func() error {
		if p.Metric(t, "ociproxy_config_reloads_total", `result="invalid"`) < 1 {
			return errors.New("no invalid reload yet")
		}
		return nil
	})
	waitHome(t, p, "https://example.org/2")

	config.With(proxy.Map{"pages": proxy.Map{"home": "https://example.org/4"}}).Write(t, p.File)
	waitHome(t, p, "https://example.org/4") // without a signal: the file is watched
	if !p.Running() {
		t.Error("it exited")
	}
}

// configMap is a directory in the form in which Kubernetes mounts a ConfigMap: a swap replaces a symbolic link two
// levels up.
type configMap struct {
	dir     string
	version int
}

// mount makes a ConfigMap whose config is c, and returns it with the path of the config.
func mount(t *testing.T, c proxy.Config) (m *configMap, file string) {
	t.Helper()
	m = &configMap{dir: t.TempDir()}
	m.swap(t, c)
	file = filepath.Join(m.dir, "config.yaml")
	if err := os.Symlink("..data/config.yaml", file); err != nil {
		t.Fatal(err)
	}
	return m, file
}

// swap replaces the config with c, as the kubelet does.
func (m *configMap) swap(t *testing.T, c proxy.Config) {
	t.Helper()
	old := filepath.Join(m.dir, fmt.Sprintf("..v%d", m.version))
	m.version++
	name := fmt.Sprintf("..v%d", m.version)
	if err := os.Mkdir(filepath.Join(m.dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
	c.Write(t, filepath.Join(m.dir, name, "config.yaml"))
	if err := os.Symlink(name, filepath.Join(m.dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(m.dir, "..data_tmp"), filepath.Join(m.dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(old); err != nil {
		t.Fatal(err)
	}
}

// Kubernetes replaces a ConfigMap by swapping a symbolic link two levels up.
func TestReloadOnConfigMapSwap(t *testing.T) {
	config := lone("https://example.org/1").Defaults(t)
	m, file := mount(t, config)
	p := proxy.StartFile(t, file, config)
	waitHome(t, p, "https://example.org/1")
	for i := 2; i < 5; i++ {
		home := fmt.Sprintf("https://example.org/%d", i)
		m.swap(t, config.With(proxy.Map{"pages": proxy.Map{"home": home}}))
		waitHome(t, p, home)
	}
}

// A new pod has a bad ConfigMap, and its node has nothing of earlier pods. The pod starts on the ConfigMap of the
// release before. It is ready, and the metrics show the fallback to the operator. It takes its own ConfigMap when that
// is repaired.
func TestNewPodWithABadConfigMap(t *testing.T) {
	config := lone("https://example.org/old").Defaults(t)
	bad, file := mount(t, config.With(proxy.Map{"pages": proxy.Map{"home": "https://example.org/new"}, "upstreams": proxy.List{}}))
	_, previous := mount(t, config)
	p := proxy.StartFile(t, file, config, "OCI_PROXY_FALLBACK="+previous)
	waitHome(t, p, "https://example.org/old")
	for metric, want := range map[string]bool{
		"ociproxy_ready": true, "ociproxy_config_last_reload_successful": false, "ociproxy_config_fallback_timestamp_seconds": true,
	} {
		if got := p.Metric(t, metric); (got > 0) != want {
			t.Errorf("%s is %v", metric, got)
		}
	}
	bad.swap(t, config.With(proxy.Map{"pages": proxy.Map{"home": "https://example.org/repaired"}}))
	waitHome(t, p, "https://example.org/repaired")
	eventually(t, "the end of the alert", func() error {
		if since := p.Metric(t, "ociproxy_config_fallback_timestamp_seconds"); since != 0 {
			return fmt.Errorf("on a fallback since %v", since)
		}
		return nil
	})
}

// The server reports all faults of a bad config at the start, and exits with 3.
func TestRefusesBadConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	proxy.Config{"version": 1, "listen": "127.0.0.1:0", "lisen": 1, "upstreams": proxy.List{
		proxy.Map{"name": "a", "url": "http://a.example", "place": "aws/atlantis-1"},
	}}.Write(t, file)
	p := parts.Start(t, parts.Spec{Path: proxy.Binary(t), Args: []string{"serve", "--config", file}, Quiet: true})
	if code := p.Wait(t, 30*time.Second); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	for _, fault := range []string{"lisen", "aws/atlantis-1", "canonical", "insecure"} {
		if !strings.Contains(p.Output.String(), fault) {
			t.Errorf("it does not tell of %s:\n%s", fault, p.Output)
		}
	}
}

// Platforms that choose the port set it in the environment.
func TestPortFromEnvironment(t *testing.T) {
	config := lone("https://example.org/").Defaults(t)
	host, port, _ := strings.Cut(parts.FreeAddr(t), ":")
	file := filepath.Join(t.TempDir(), "config.yaml")
	config.Write(t, file)
	config["listen"] = host + ":" + port
	p := proxy.StartFile(t, file, config, "PORT="+port)
	waitHome(t, p, "https://example.org/")
}
