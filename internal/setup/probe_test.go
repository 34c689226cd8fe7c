package setup

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ociproxy/internal/check"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers /v2/ as a registry, and everything else with status.
func server(t *testing.T, status int, body string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" || status == http.StatusTeapot {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func bucketAt(url string) string { return "s3://b-1?region=x&pathStyle=true&endpoint=" + url }

// A bucket that does not exist is filled first, and so is a replica that fails. A registry that fails is refused.
func TestProbe(t *testing.T) {
	a := answers{location: "onprem/berlin@52.5,13.4,DE", registries: []string{server(t, 404, ""), server(t, 500, "")},
		buckets: []string{bucketAt(server(t, 404, "<Error><Code>NoSuchBucket</Code></Error>"))}}
	d, err := a.give()
	if err != nil {
		t.Fatal(err)
	}
	report, err := d.Probe(t.Context(), check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Refusal(report); err != nil {
		t.Errorf("refused: %v", err)
	}
	if diff := cmp.Diff(map[string]config.State{"s3-berlin": config.Filling}, d.States()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	c := parsed(t, d)
	if c.Upstreams[0].State != config.Active || c.Upstreams[1].State != config.Filling {
		t.Errorf("states %s and %s", c.Upstreams[0].State, c.Upstreams[1].State)
	}

	a.registries = []string{server(t, http.StatusTeapot, "")}
	if d, err = a.give(); err != nil {
		t.Fatal(err)
	}
	if report, err = d.Probe(t.Context(), check.Options{}); err != nil {
		t.Fatal(err)
	}
	e, ok := errors.AsType[*cli.Error](d.Refusal(report))
	if !ok || e.Code != cli.CodeFailure || !strings.Contains(e.Error(), "418") || !strings.Contains(e.Hint, "--no-probe") {
		t.Errorf("refusal %v", e)
	}
}

// talk is a conversation with these answers. It returns what a person sees.
func talk(t *testing.T, d *Draft, given Given, probe bool, lines ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out strings.Builder
	var how *check.Options
	if probe {
		how = &check.Options{}
	}
	c := NewTalk(ctx, strings.NewReader(strings.Join(lines, "\n")+"\n"), &out, how)
	if !given.Location {
		if err := c.Location(d); err != nil {
			return out.String(), err
		}
	}
	err := c.Rest(d, given)
	return out.String(), err
}

// A wrong answer gets its reason and the question again; an answer that the registry refutes, too.
func TestTalk(t *testing.T) {
	good, bad := server(t, 404, ""), server(t, http.StatusTeapot, "")
	d := New("")
	out, err := talk(t, d, Given{}, true, "berlin", "onprem/berlin@52.5,13.4,DE", "example", bad, "  "+good+"  ",
		"", "s3://x", bucketAt("http://127.0.0.1:9"), "", "10.0.0.0/8=onprem/berlin", "", "googlelb", "", ":99999", ":8081")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{"at onprem/berlin", "behind direct", "listen :8081 127.0.0.1:9090", "network 10.0.0.0/8 onprem/berlin",
		"upstream main " + good + "  onprem/berlin ipv4 insecure canonical",
		"store s3-berlin http://127.0.0.1:9/b-1/containers/images/{digest} http://127.0.0.1:9/b-1/inventory/ " + bucketAt("http://127.0.0.1:9") +
			" onprem/berlin for onprem filling ipv4 insecure"}
	if diff := cmp.Diff(want, digest(parsed(t, d))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, reason := range []string{`place "berlin": want cloud/region`, "not the URL of a registry", "418 for a digest that does not exist", "?region=us-east-1",
		`did you mean "google-lb"?`, "port \"99999\" is not between"} {
		if !strings.Contains(out, reason) {
			t.Errorf("the conversation has no %q", reason)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// What was given is not asked for, and the end of the answers is an error.
func TestTalkEnds(t *testing.T) {
	d := New("")
	if err := d.SetLocation("aws/us-east-1"); err != nil {
		t.Fatal(err)
	}
	out, err := talk(t, d, Given{Location: true, Bucket: true, Image: true, Front: true, Listen: true}, false, "https://r.example.org")
	if err != nil || strings.Count(out, ": ") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := talk(t, New(""), Given{}, false, "aws/us-east-1"); !errors.Is(err, ErrEnded) {
		t.Errorf("%v, want %v", err, ErrEnded)
	}
	ctx, cancel := context.WithCancel(t.Context())
	in, w := io.Pipe() // nobody answers
	c := NewTalk(ctx, in, io.Discard, nil)
	cancel()
	if err := c.Location(New("")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	_ = w.Close()
}

// A store whose host has no address of a family must not get clients of that family.
func TestFamilies(t *testing.T) {
	store := server(t, 404, "")
	lookup := func(_ context.Context, network, _ string) ([]netip.Addr, error) {
		if network == "ip6" {
			return nil, &net.DNSError{IsNotFound: true}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	d, err := answers{location: "onprem/berlin@52.5,13.4,DE", registries: []string{server(t, 404, "")},
		buckets: []string{bucketAt(strings.Replace(store, "127.0.0.1", "objects.test", 1))}}.give()
	if err != nil {
		t.Fatal(err)
	}
	if f := parsed(t, d).Stores[0].Families; !f.IPv4 || !f.IPv6 {
		t.Errorf("before the probe: %+v", f)
	}
	if _, err := d.Probe(t.Context(), check.Options{Lookup: lookup}); err != nil {
		t.Fatal(err)
	}
	if f := parsed(t, d).Stores[0].Families; !f.IPv4 || f.IPv6 {
		t.Errorf("after the probe: %+v", f)
	}
}

func TestNext(t *testing.T) {
	d, err := answers{location: "aws/us-east-1", registries: []string{"https://r.example.org"}, buckets: []string{"s3://b-1?region=us-east-1"}}.give()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"oci-proxy check 'my config.yaml' --live",
		"oci-proxyctl mirror --config 'my config.yaml' --dry-run   # first name the repositories under mirror:",
		"# mirror without --dry-run fills the stores; then write state: active in 'my config.yaml'",
		"oci-proxy serve --config 'my config.yaml'", "oci-proxy explain --config 'my config.yaml' --ip 192.0.2.7"}
	if diff := cmp.Diff(want, d.Next("my config.yaml")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Plain HTTP outside of a closed network is a warning.
func TestWarnings(t *testing.T) {
	for url, want := range map[string]bool{
		"http://registry.example.org": true, "http://203.0.113.7:5000": true, "http://[2001:db8::1]": true,
		"https://registry.example.org": false, "http://10.1.2.3:5000": false, "http://[::1]:5000": false, "http://localhost:5000": false,
		"http://harbor": false, "http://harbor.internal": false,
		// Nobody has looked below the path.
		"https://registry.example.org/team": true,
	} {
		d, err := answers{location: "aws/us-east-1", registries: []string{url}}.give()
		if err != nil {
			t.Fatal(err)
		}
		if got := len(d.Warnings()) > 0; got != want {
			t.Errorf("%s: warnings %q", url, d.Warnings())
		}
	}
}
