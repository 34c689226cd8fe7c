package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/config"
	"ociproxy/internal/probe"
	"ociproxy/internal/registry/registrytest"
)

// lines returns the lines that are written to w.
func lines() (w *io.PipeWriter, next *bufio.Scanner) {
	r, w := io.Pipe()
	return w, bufio.NewScanner(r)
}

// A monitor serves the metrics of its last run, reads the config again when it changes, and ends with 0 when it is
// stopped.
func TestProbeMonitor(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	r.Image("app", "v1", "one", "two")
	var heads atomic.Int64
	r.Fail(func(_ http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/v2/other/") {
			heads.Add(1)
		}
		return false
	})
	file := filepath.Join(t.TempDir(), "config.yaml")
	write := func(repository string) {
		text := fmt.Sprintf(`version: 1
location: aws/us-east-1
ranges: {cache: "", feeds: []}
upstreams: [{name: main, url: "http://%s", insecure: true, place: aws/us-east-1, canonical: true}]
mirror: {source: main, repositories: {list: [%s]}}
`, r.Host, repository)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("app")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stdout, runs := lines()
	stderr, said := lines()
	code := make(chan int)
	go func() {
		got := run(ctx, []string{
			"probe", r.Host, "--config", file, "--every", "1s", "--listen", "127.0.0.1:0", "--vantage", "here",
			"--max-bytes-per-day", "100GiB", "--max-rate", "10000",
		}, emptyEnv, strings.NewReader(""), stdout, stderr)
		stdout.Close()
		stderr.Close()
		code <- got
	}()
	url := ""
	for url == "" && said.Scan() {
		url = regexp.MustCompile(`http://\S+$`).FindString(said.Text())
	}
	go func() { // nothing may wait for a reader
		for said.Scan() {
			continue
		}
	}()
	ended := func() {
		t.Helper()
		for runs.Scan() {
			if strings.Contains(runs.Text(), "answers were right; ") {
				return
			}
		}
		t.Fatal("no run has ended")
	}
	ended()
	for path, want := range map[string]string{
		"/metrics": `ociproxy_probe_check_success{as="self",check="layer",host="` + r.Host + `",image="app:v1",name="` + r.Host + `",proof="path",vantage="here"} 1`,
		"/-/ready": "ok",
	} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), want) {
			t.Errorf("%s: %d %v, without %s", path, resp.StatusCode, err, want)
		}
	}
	write("other")
	for heads.Load() == 0 {
		ended()
	}
	go func() {
		for runs.Scan() {
			continue
		}
	}()
	stop()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
}

// The signs of the estimate: whole layers once a day, decisions otherwise.
func TestPerDay(t *testing.T) {
	plan := &probe.Plan{Whole: probe.Cost{Requests: 100, Bytes: 1000, Seconds: 5}, Decisions: probe.Cost{Requests: 10, Bytes: 1, Seconds: 1}}
	for _, tt := range []struct {
		every, whole string
		want         probe.Cost
	}{
		{"1h", "24h", probe.Cost{Requests: 100 + 23*10, Bytes: 1000 + 23, Seconds: 5 + 23}},
		{"1h", "0s", probe.Cost{Requests: 240, Bytes: 24, Seconds: 24}},
		{"1h", "1m", probe.Cost{Requests: 2400, Bytes: 24000, Seconds: 120}},
		{"7h", "12h", probe.Cost{Requests: 2*100 + 2*10, Bytes: 2002, Seconds: 12}},
	} {
		if got := perDay(plan, duration(t, tt.every), duration(t, tt.whole)); got != tt.want {
			t.Errorf("every %s, whole layers every %s: %+v, want %+v", tt.every, tt.whole, got, tt.want)
		}
	}
}

// Images of a long list are spread over it, and are the same ones each time.
func TestSpread(t *testing.T) {
	list := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	for n, want := range map[int][]int{0: list, 20: list, 10: list, 2: {0, 5}, 3: {0, 3, 6}} {
		if got := spreadOver(list, n); !slices.Equal(got, want) {
			t.Errorf("%d of ten: %v, want %v", n, got, want)
		}
	}
}

// Manifests name destinations as the registry behind the name does; clients do not.
func TestPromotedImages(t *testing.T) {
	file := filepath.Join(t.TempDir(), "promoter.yaml")
	const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"
	text := `registries: [{name: stage.example, src: true}, {name: pkg.example/project/images/team}, {name: other.example/x}]
images: [{name: app, dmap: {"` + digest + `": ["1"]}}]
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Upstreams: []config.Upstream{{URL: "https://pkg.example", Prefix: "project/images"}}}
	got, err := promotedImages(file, "registry.example", cfg)
	if err != nil || !slices.Equal(got, []judge.Ref{{Name: "team/app", Tag: "1"}}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := promotedImages(file, "registry.example", nil); err == nil {
		t.Error("nothing is promoted to that name")
	}
	if got, err := promotedImages(file, "other.example", nil); err != nil || !slices.Equal(got, []judge.Ref{{Name: "x/app", Tag: "1"}}) {
		t.Errorf("%v, %v", got, err)
	}
}

// Without a config only addresses and unknown are known.
func TestClassesWithoutConfig(t *testing.T) {
	p := &probing{app: &app{}}
	one, err := p.classes("::ffff:198.51.100.7")
	if err != nil || len(one) != 1 || one[0].Addr != netip.MustParseAddr("198.51.100.7") {
		t.Errorf("%v, %v", one, err)
	}
	if all, err := p.classes("unknown"); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	for _, word := range []string{"config", "all", "aws", "aws/us-east-1"} {
		if _, err := p.classes(word); err == nil || !strings.Contains(err.Error(), "needs a config") {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What --dry-run says is about what a run takes, and rather too much.
func TestEstimate(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	r.Image("app", "v1", "one", strings.Repeat("a long layer ", 50_000))
	r.Image("team/lib", "v2", "one", "two", "three")
	opt := probe.Options{
		Name: r.Host, Images: []judge.Ref{{Name: "app", Tag: "v1"}, {Name: "team/lib", Tag: "v2"}}, Limits: probe.Limits{Rate: 10_000},
	}
	plan, err := probe.NewPlan(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	for decisions, said := range map[bool]probe.Cost{false: plan.Whole, true: plan.Decisions} {
		opt.Decisions = decisions
		report, err := probe.Run(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		took := report.Cost
		if took.Requests > said.Requests || 2*took.Requests < said.Requests || took.Bytes > said.Bytes || 2*took.Bytes < said.Bytes {
			t.Errorf("decisions only: %v: took %+v, estimated %+v", decisions, took, said)
		}
	}
	if plan.Images[0].Blobs != 3 || plan.Images[0].Bytes < 600_000 || plan.Spent.Requests == 0 || plan.Spent.Bytes > 10_000 {
		t.Errorf("%+v", plan)
	}
}
