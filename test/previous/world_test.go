package previous

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/outbound"
	"ociproxy/test/gate"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

const prefix = "project/images/"

// Clients of the places, by the feed and by overrides. Each class gets other answers.
var clients = map[string]string{
	"virginia":  "11.0.0.1",    // the feed: aws/us-east-1
	"frankfurt": "11.64.0.1",   // the feed: aws/eu-central-1
	"belgium":   "198.19.0.1",  // an override: gcp/europe-west1
	"home":      "203.0.113.1", // no cloud
}

// stuck is a client in virginia that cannot download from its nearest store.
const stuck = "11.0.9.9"

const feed = "11.0.0.0/10,aws/us-east-1\n11.64.0.0/10,aws/eu-central-1\n"

// world is a registry and two stores behind gates, and what a server and a mirror keep.
type world struct {
	front    *gate.Gate // in front of the registry
	source   *source.Source
	shops    []*shop.Shop
	config   proxy.Config
	file     string
	lastGood string
	early    []string // digests of blobs that are there from the start
}

func newWorld(t *testing.T) *world {
	t.Helper()
	up := registry.Start(t)
	w := &world{front: gate.New(t, up.Addr), source: source.New(up.Addr, prefix), lastGood: filepath.Join(t.TempDir(), "last-good"),
		shops: shop.StartS3(t, "us-east-1", "eu-central-1").Shops(t), file: filepath.Join(t.TempDir(), "config.yaml")}
	w.push(t, 1)
	w.early = w.blobs()
	home := w.shops[0]
	_, err := home.Server.Client().PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &home.S3Bucket, Key: aws.String("ranges.csv"), Body: strings.NewReader(feed)})
	if err != nil {
		t.Fatal(err)
	}
	w.config = proxy.Config{
		"location": "gcp/us-central1",
		"client":   proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1, "trusted": proxy.List{"127.0.0.0/8"}}},
		"ranges": proxy.Map{"cache": filepath.Join(t.TempDir(), "ranges.cache"),
			"feeds":     proxy.List{proxy.Map{"provider": "csv", "url": home.Base + "ranges.csv", "insecure": true}},
			"overrides": proxy.List{proxy.Map{"cidr": "198.19.0.0/18", "place": "gcp/europe-west1"}}},
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": w.front.URL, "prefix": strings.TrimSuffix(prefix, "/"), "place": "gcp/us-central1", "canonical": true, "insecure": true}},
		"stores":    shop.Configs(w.shops),
		"deny":      proxy.Map{"repositories": proxy.List{"library/forbidden"}},
		"mirror": proxy.Map{"source": "us", "repositories": proxy.Map{"include": proxy.List{"/.*/"}}, "spool": proxy.Map{"dir": t.TempDir()},
			"requestsPerSecond": 5000},
		"limits": proxy.Map{"drain": "0s"},
	}.Defaults(t)
	w.config.Write(t, w.file)
	return w
}

// push adds images, which the next pass of a mirror copies.
func (w *world) push(t *testing.T, seed uint64) {
	t.Helper()
	w.source.Fill(t, source.Shape{Images: 10, Repos: 3, Seed: seed, Smallest: 2 << 10, Largest: 40 << 10})
}

// mirror runs one pass: it writes blobs and inventories.
func (w *world) mirror(t *testing.T, r release) {
	t.Helper()
	run(t, shop.Environment, r.tool, "mirror", "--config", w.file, "--once")
}

// up and down connect and cut everything that the server could ask: the feed, the stores, their inventories, the
// registry.
func (w *world) up() { w.spoil(nil) }

func (w *world) down() {
	w.spoil(func(*http.Request) (gate.Fault, bool) { return gate.Fault{Cut: true}, true })
}

func (w *world) spoil(rule func(*http.Request) (gate.Fault, bool)) {
	w.front.Spoil(rule)
	for _, s := range w.shops {
		s.Gate.Spoil(rule)
	}
}

// serve starts a release's server on what is there.
func (w *world) serve(t *testing.T, r release) *proxy.Proxy {
	t.Helper()
	return proxy.StartProgram(t, r.server, w.file, w.config, "OCI_PROXY_LAST_GOOD="+w.lastGood)
}

// stop ends a server in an orderly way, so that it writes what it learned.
func (w *world) stop(t *testing.T, p *proxy.Proxy) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	if code := p.Wait(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

var client = &http.Client{CheckRedirect: outbound.NoRedirect, Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ask asks as a client at an address. The answer is the status, and where it leads.
func ask(p *proxy.Proxy, method, path, address string) (string, error) {
	req, err := http.NewRequest(method, p.URL(path), http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("X-Forwarded-For", address)
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Location")), nil
}

// answers asks everything that can be answered without another server, as each client. HEAD, because the server takes no
// HEAD for a download.
func (w *world) answers(p *proxy.Proxy) (map[string]string, error) {
	paths := []string{"/v2/", "/v2/library/forbidden/manifests/v1", "/v2/_catalog", "/v2/library/app/manifests/..", "/"}
	for _, image := range w.source.Images() {
		paths = append(paths, "/v2/"+image.Repo+"/manifests/"+image.Tag, "/v2/"+image.Repo+"/manifests/"+image.Digest)
	}
	for _, digest := range w.blobs() {
		paths = append(paths, "/v2/library/app00/blobs/"+digest)
	}
	got := map[string]string{}
	for name, address := range clients {
		for _, path := range paths {
			answer, err := ask(p, http.MethodHead, path, address)
			if err != nil {
				return nil, err
			}
			got[name+" "+path] = answer
		}
	}
	return got, nil
}

func (w *world) blobs() []string { return slices.Sorted(maps.Keys(w.source.Blobs)) }

// first waits until the server knows every blob to be in the stores, and returns its answers.
func (w *world) first(t *testing.T, p *proxy.Proxy) map[string]string {
	t.Helper()
	var got map[string]string
	parts.Poll(t, time.Minute, "inventories read", func() error {
		var err error
		if got, err = w.answers(p); err != nil {
			return err
		}
		for _, near := range []struct{ client, base string }{{"virginia", w.shops[0].Base}, {"frankfurt", w.shops[1].Base}} {
			for _, digest := range w.blobs() {
				if answer := got[near.client+" /v2/library/app00/blobs/"+digest]; !strings.Contains(answer, near.base) {
					return fmt.Errorf("%s of %s: %s", digest, near.client, answer)
				}
			}
		}
		return nil
	})
	return got
}

// same waits until the server gives the wanted answers. A server that starts reads its cache beside the first requests.
func (w *world) same(t *testing.T, p *proxy.Proxy, want map[string]string) {
	t.Helper()
	parts.Poll(t, time.Minute, "the same answers (-want +got)", func() error {
		got, err := w.answers(p)
		if err != nil {
			return err
		}
		for question := range got {
			if _, asked := want[question]; !asked {
				delete(got, question) // an image that came later
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}

// getStuck lets the stuck client ask twice for a blob, so that the server looks for another store for it.
func (w *world) getStuck(t *testing.T, p *proxy.Proxy) {
	t.Helper()
	for _, near := range []string{w.shops[0].Base, w.shops[1].Base} {
		w.pull(t, p, 0, near)
	}
}

// pull lets the stuck client ask for the n-th of the early blobs. The answer must lead to the store at near.
func (w *world) pull(t *testing.T, p *proxy.Proxy, n int, near string) {
	t.Helper()
	got, err := ask(p, http.MethodGet, "/v2/library/app00/blobs/"+w.early[n], stuck)
	if err != nil || !strings.Contains(got, near) {
		t.Errorf("the stuck client asks for blob %d and gets %q, %v; want %s", n, got, err, near)
	}
}

// corrupt makes the config one that no release reads. The returned function repairs it.
func (w *world) corrupt(t *testing.T) (repair func()) {
	t.Helper()
	if err := os.WriteFile(w.file, []byte("version: 1\nupstreams: broken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() { w.config.Write(t, w.file) }
}
