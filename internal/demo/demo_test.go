package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/cli"
)

// TestOnce runs the demo itself: the real proxy, seven clients, every byte from
// where it should come.
func TestOnce(t *testing.T) {
	var out, errs bytes.Buffer
	err := Run(t.Context(), Options{Once: true, Stdout: &out, Stderr: &errs})
	t.Log("\n" + out.String())
	if err != nil {
		t.Errorf("%v\n%s", err, errs.String())
	}
	for _, c := range clients() {
		if !strings.Contains(out.String(), "\n"+c.Name+" ") {
			t.Errorf("no line for %s", c.Name)
		}
	}
}

func TestOnceJSON(t *testing.T) {
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Once: true, Stdout: &out, Output: "json"}); err != nil {
		t.Error(err)
	}
	var r report
	dec := json.NewDecoder(&out)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		t.Fatal(err)
	}
	type flow struct{ client, place, node string }
	got := map[flow]int{}
	for _, p := range r.Clients {
		for _, s := range p.Pieces {
			if s.Reason == "" || s.Location == "" || s.Bytes == 0 || !s.DigestOK {
				t.Errorf("%s: %+v", p.Client, s)
			}
			got[flow{p.Client, p.Place, s.WentTo}]++
		}
	}
	want := map[flow]int{
		{"aws-virginia", "aws/us-east-1", "us"}:                       2,
		{"aws-virginia", "aws/us-east-1", "aws-us-east-1"}:            5,
		{"aws-singapore", "aws/ap-southeast-1", "eu"}:                 2,
		{"aws-singapore", "aws/ap-southeast-1", "aws-ap-southeast-1"}: 4,
		{"aws-singapore", "aws/ap-southeast-1", "aws-eu-central-1"}:   1,
		{"aws-dublin", "aws/eu-west-1", "eu"}:                         2,
		{"aws-dublin", "aws/eu-west-1", "aws-eu-central-1"}:           5,
		{"gcp-belgium", "gcp/europe-west1", "eu"}:                     6,
		{"gcp-belgium", "gcp/europe-west1", "us"}:                     1,
		{"azure-amsterdam", "azure/westeurope", "eu"}:                 1,
		{"azure-amsterdam", "azure/westeurope", "us"}:                 1,
		{"azure-amsterdam", "azure/westeurope", "azure-westeurope"}:   5,
		{"home", "", "us"}:     2,
		{"home", "", "cdn"}:    5,
		{"spoofer", "", "us"}:  2,
		{"spoofer", "", "cdn"}: 5,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(flow{})); diff != "" {
		t.Errorf("pieces (-want +got):\n%s", diff)
	}
}

// TestOnceFails makes one thing in the world or the config wrong. The real
// proxy then deviates from the scenario, and the demo must report it.
func TestOnceFails(t *testing.T) {
	tests := []struct {
		name   string
		world  func(w *world)
		config func(w *world, text string) string
		want   string // in the output
	}{
		{
			name: "a store has other bytes under a digest",
			world: func(w *world) {
				digest := w.image.platforms["linux/amd64"].blobs["app"]
				blobs := maps.Clone(w.image.blobs)
				blobs[digest] = content{typeLayer, bytes.Repeat([]byte("x"), len(blobs[digest].data))}
				w.node(nodeVirginia).handler = (&store{blobs: blobs, absent: http.StatusForbidden}).serve
			},
			want: "aws-virginia: app: aws-us-east-1 sent 264752 bytes that are not sha256:",
		},
		{
			name: "a store lacks a blob",
			world: func(w *world) {
				w.node(nodeAzure).handler = w.image.store(nodeAzure, http.StatusNotFound, "base").serve
			},
			want: "azure-amsterdam: base: went to ",
		},
		{
			name: "a store says that it holds what it does not send",
			world: func(w *world) {
				honest := w.node(nodeFrankfurt).handler
				digest := w.image.platforms["linux/amd64"].blobs["base"]
				w.node(nodeFrankfurt).handler = func(rw http.ResponseWriter, r *http.Request) string {
					if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, digest) {
						storeError(rw, http.StatusForbidden, "AccessDenied")
						return ""
					}
					return honest(rw, r)
				}
			},
			want: "aws-dublin: base: aws-eu-central-1: the answer was 403 Forbidden, not 200",
		},
		{
			name: "a redirect to the wrong store",
			config: func(w *world, text string) string {
				return strings.Replace(text, w.node(nodeVirginia).url, w.node(nodeFrankfurt).url, 1)
			},
			want: "aws-virginia: base: went to aws-eu-central-1, should have gone to aws-us-east-1",
		},
		{
			name: "a client's own entry is believed",
			config: func(_ *world, text string) string {
				return strings.Replace(text, "entry: 1", "entry: 2", 1)
			},
			want: "spoofer: base: went to aws-us-east-1, should have gone to cdn",
		},
		{
			name: "the CDN serves nobody",
			config: func(_ *world, text string) string {
				return strings.Replace(text, "serves: [internet]", "serves: [oracle]", 1)
			},
			want: "home: data: went to us, should have gone to cdn",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := build(t.Context(), Options{Once: true}.filled(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer d.remove()
			if tt.world != nil {
				tt.world(d.world)
			}
			if tt.config != nil {
				d.rewrite(t, func(text string) string { return tt.config(d.world, text) })
			}
			var out bytes.Buffer
			err = d.once(t.Context(), &printer{w: &out})
			if err == nil {
				t.Error("nobody noticed")
			}
			if !strings.Contains(out.String(), tt.want) {
				t.Errorf("output lacks %q:\n%s", tt.want, out.String())
			}
		})
	}
}

// rewrite changes the config of a demo that does not run yet.
func (d *demo) rewrite(t *testing.T, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(text))
	if changed == string(text) {
		t.Fatal("the change changes nothing")
	}
	if err := os.WriteFile(d.config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	d.server.proxy.Close()
	if d.server, err = newServer(d.config, Options{}.filled().Logger); err != nil {
		t.Fatal(err)
	}
}

// TestServe runs the demo as a user does: it reads what to try, tries it, and
// stops the demo.
func TestServe(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r, w := io.Pipe()
			done := make(chan error, 1)
			go func() {
				err := Run(ctx, Options{Idle: true, Listen: "127.0.0.1:0", Stdout: w, Output: format})
				_ = w.CloseWithError(io.EOF)
				done <- err
			}()
			lines := bufio.NewScanner(r)
			lines.Scan()
			if format == "json" {
				try(t, lines)
			} else if !strings.HasPrefix(lines.Text(), "oci-proxy-demo: ") {
				t.Errorf("first line is %q", lines.Text())
			}
			cancel()
			for lines.Scan() { // without this, the demo would wait for its reader
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// try gets a layer as an AWS machine. The demo must report this in its next
// line.
func try(t *testing.T, lines *bufio.Scanner) {
	t.Helper()
	var g guide
	if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{g.Config, g.Hosts, g.Key} {
		if file == "" && file == g.Key { // a published demo has none
			continue
		}
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	transport := newTransport()
	defer transport.CloseIdleConnections()
	got := make(chan error, 1)
	go func() {
		f, err := newPuller(transport, g.Proxy, "tester", sampleAddress).fetch(t.Context(), g.Layer, "")
		if err == nil && !strings.HasSuffix(g.Layer, digestOf(f.data)) {
			err = errors.New("other bytes than asked for")
		}
		got <- err
	}()
	if !lines.Scan() {
		t.Error("nothing told of the layer")
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
	want := `{"from":"aws-us-east-1","client":"demo-client/tester","digest":"` +
		g.Layer[strings.LastIndexByte(g.Layer, '/')+1:] + `","status":200,"bytes":485439}`
	if diff := cmp.Diff(want, lines.Text()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestListen(t *testing.T) {
	taken, err := listenLoopback(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name, listen string
		want         int // exit code
	}{
		{"taken", taken.Addr().String(), cli.CodeFailure},
		{"everybody", "0.0.0.0:0", cli.CodeUsage},
		{"no host", ":0", cli.CodeUsage},
		{"a name", "localhost:0", cli.CodeUsage},
		{"nonsense", "nonsense", cli.CodeUsage},
		{"loopback", "127.0.0.1:0", cli.CodeOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Run(t.Context(), Options{Once: true, Listen: tt.listen})
			if got := cli.Code(err); got != tt.want {
				t.Errorf("exit code %d, want %d: %v", got, tt.want, err)
			}
		})
	}
}

// TestDefaultPort checks that the demo uses the default port if it is free,
// else any free port.
func TestDefaultPort(t *testing.T) {
	var errs bytes.Buffer
	var open []net.Listener
	for range 2 { // the second one cannot get the port, even if another process has it
		l, err := listenPublic(t.Context(), Options{Stderr: &errs})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		open = append(open, l)
	}
	if open[1].Addr().String() == DefaultListen {
		t.Error("got the port twice")
	}
	if !strings.Contains(errs.String(), DefaultListen+" is taken") {
		t.Errorf("stderr: %q", errs.String())
	}
}

// TestInterrupted checks that an interrupted check is not a success.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, Options{Once: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if err := Run(t.Context(), Options{Output: "yaml"}); cli.Code(err) != cli.CodeUsage {
		t.Errorf("output yaml: %v", err)
	}
}
