package buckets

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/test/authority"
	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/shop"
)

// Cases wait more than they compute.
func TestMain(m *testing.M) { parts.Together(m, 4) }

// account is what versitygw takes for the number of an account: the name of its root user.
const account, secret = "123456789012", "test-secret"

// versity is versitygw with two ports over the same buckets, one for TLS.
type versity struct {
	plain, tls string // host:port
	root       *authority.Authority
	client     *awss3.Client // of the owner, by the plain port
}

func startVersity(t testing.TB) *versity {
	t.Helper()
	v := &versity{plain: parts.FreeAddr(t), tls: parts.FreeAddr(t), root: authority.New(t)}
	cert := v.root.Issue(t, time.Hour, "127.0.0.1")
	root, versions := t.TempDir(), t.TempDir()
	for addr, more := range map[string][]string{v.plain: nil, v.tls: {"--cert", cert.Cert, "--key", cert.Key}} {
		parts.Start(t, parts.Spec{
			Path:   parts.Find(t, "versitygw"),
			Args:   append([]string{"--quiet", "--port", addr, "--region", "us-east-1"}, append(more, "posix", "--versioning-dir", versions, root)...),
			Env:    []string{"ROOT_ACCESS_KEY=" + account, "ROOT_SECRET_KEY=" + secret},
			Ready:  parts.Dial("tcp", addr),
			Abrupt: true, // after SIGTERM it waits for idle connections
		})
	}
	v.client = awss3.New(awss3.Options{BaseEndpoint: aws.String("http://" + v.plain), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(account, secret, "")})
	return v
}

// env has the owner's credentials.
func (v *versity) env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + account, "AWS_SECRET_ACCESS_KEY=" + secret, v.root.Trust()}
}

// store returns the entry of a bucket in a config. endpoint is a URL without a slash at the end.
func (v *versity) store(bucket, endpoint string) proxy.Map {
	return entry("s3-use1", "aws/us-east-1", "s3://"+bucket+"?region=us-east-1&pathStyle=true&endpoint="+endpoint, endpoint+"/"+bucket+"/")
}

// entry returns an entry of a config's stores.
func entry(name, place, bucket, base string) proxy.Map {
	return proxy.Map{"name": name, "place": place, "bucket": bucket, "url": base + "containers/images/{digest}",
		"inventory": proxy.Map{"url": base + "inventory/", "refresh": "1s"}, "serves": proxy.List{"all"}, "insecure": true}
}

// config writes a config with one store.
func config(t testing.TB, store proxy.Map) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	proxy.Config{
		"location":  "gcp/us-central1",
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": "http://127.0.0.1:1", "place": "gcp/us-central1", "canonical": true, "insecure": true}},
		"stores":    proxy.List{store},
		"mirror":    proxy.Map{"source": "us", "repositories": proxy.Map{"list": proxy.List{"app"}}, "spool": proxy.Map{"dir": t.TempDir()}},
	}.Defaults(t).Write(t, file)
	return file
}

// finding and document are the parts of the command's JSON that the tests read.
type finding struct {
	Name, State, Have, Weaker, Detail, Remedy string
	Kept                                      []string
	Unsure                                    bool
}

type document struct {
	Exists   bool
	Changes  int
	Findings []finding
	Proof    *struct{ Preflight, List string }
}

// states returns the settings as "name state" lines, those in a given state only; no state: all.
func (d *document) states(of ...string) string {
	var out []string
	for _, f := range d.Findings {
		if len(of) == 0 || strings.Contains(strings.Join(of, " "), f.State) {
			out = append(out, f.Name+" "+f.State)
		}
	}
	return strings.Join(out, "\n")
}

func (d *document) find(name string) (f finding) {
	for _, f = range d.Findings {
		if f.Name == name {
			return f
		}
	}
	return finding{}
}

// create runs store create, and fails the test unless it ends with code.
func create(t testing.TB, code int, env []string, file, name string, args ...string) document {
	t.Helper()
	ran := ctl.Run(t, ctl.Limit, env, append([]string{"store", "create", name, "--config", file, "--output", "json"}, args...)...)
	if ran.Code != code {
		t.Fatalf("store create %v: want exit code %d: %v", args, code, ran)
	}
	if ran.Stdout == "" {
		return document{}
	}
	return ctl.Decode[document](t, ran.Stdout)
}

// stranger asks without credentials, and returns the status.
func stranger(t testing.TB, client *http.Client, method, url string) int {
	t.Helper()
	var body io.Reader
	if method == http.MethodPut {
		body = strings.NewReader("strange")
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Ms-Version", "2021-12-02")
	if method == http.MethodPut {
		req.Header.Set("X-Ms-Blob-Type", "BlockBlob")
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// shut fails the test unless strangers can read blobs and the inventory of a store, and do nothing else. base is the
// URL of the bucket and ends in a slash.
func shut(t testing.TB, client *http.Client, base, list string) {
	t.Helper()
	blob := base + shop.Key(shop.EmptyObject)
	for _, c := range []struct {
		method, url string
		may         bool
	}{
		{http.MethodGet, blob, true},
		{http.MethodGet, base + "inventory/head.json", true},
		{http.MethodGet, base + list, false},
		{http.MethodPut, base + shop.Key("strange"), false},
		{http.MethodPut, base + "inventory/strange", false},
		{http.MethodPut, blob, false},
		{http.MethodDelete, blob, false},
		{http.MethodGet, blob, true}, // it is still there
	} {
		if got := stranger(t, client, c.method, c.url); got/100 == 2 != c.may {
			t.Errorf("%s %s: %d, want allowed: %v", c.method, c.url, got, c.may)
		}
	}
}

const listS3, listAzure = "?list-type=2", "?restype=container&comp=list"

// kill runs store create behind a gate that kills it at its k-th request that changes something: before the store has
// got the request, or after. It reports whether it was killed.
func kill(t testing.TB, g *gate.Gate, env []string, file, name string, k int, changes func(*http.Request) bool) bool {
	t.Helper()
	var running *ctl.Running
	started := make(chan struct{})
	die := func() {
		<-started
		running.Signal(syscall.SIGKILL)
	}
	fault := gate.Fault{Cut: true, Persisted: k%2 == 0, After: -1, Then: die}
	nth := gate.Nth(k, 1, changes, fault)
	g.Spoil(func(r *http.Request) (gate.Fault, bool) {
		f, strike := nth(r)
		if strike && !f.Persisted {
			die()
		}
		return f, strike
	})
	running = ctl.Start(t, env, "store", "create", name, "--config", file, "--confirm", "--output", "json")
	close(started)
	ran := running.Wait(t, ctl.Limit)
	g.Quiet(t)
	g.Spoil(nil)
	return ran.Code < 0
}
