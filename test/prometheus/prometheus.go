// Package prometheus runs Prometheus on loopback. It scrapes what the tests start.
//
// It knows Prometheus's command line, its configuration and its query API. It must not know the metrics.
package prometheus

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// Target is a server that is scraped at http://Addr/metrics.
type Target struct {
	Addr   string            // host:port; it becomes the label instance
	Job    string            // the label job; "" means oci-proxy
	Labels map[string]string // added to every series; may be nil
}

// Server is a running Prometheus.
type Server struct {
	Addr string // host:port
	URL  string // http://host:port

	*parts.Process
	targets string // the file that lists them
}

// Serve starts a Prometheus that scrapes nothing and serves the blocks in a directory, however old they are.
func Serve(t testing.TB, data string) *Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte("global: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := parts.FreeAddr(t)
	s := &Server{Addr: addr, URL: "http://" + addr}
	s.Process = parts.Start(t, parts.Spec{
		Path: parts.Find(t, "prometheus"), Ready: parts.HTTP(s.URL+"/-/ready", http.StatusOK), Abrupt: true, Quiet: true,
		Args: []string{
			"--config.file=" + file, "--storage.tsdb.path=" + data, "--storage.tsdb.retention.time=50y", "--web.listen-address=" + addr,
			"--log.level=warn",
		},
	})
	return s
}

// Start starts a Prometheus that scrapes the targets, and waits until it is ready. every is the time between two
// scrapes, in whole milliseconds; one second suits most tests. Series that are not scraped any more end after lookback.
func Start(t testing.TB, every time.Duration, targets ...Target) *Server {
	t.Helper()
	return StartWith(t, Options{Every: every}, targets...)
}

// Options are what else a Prometheus may need.
type Options struct {
	Every time.Duration // between two scrapes, in whole milliseconds; and between two evaluations of the rules
	Rules []string      // files
	// History is the text of samples from before, in the format of OpenMetrics without its last line. They must be older
	// than two hours. It needs promtool.
	History string
}

// StartWith is Start with more options.
func StartWith(t testing.TB, o Options, targets ...Target) *Server {
	t.Helper()
	every := o.Every
	program, dir, addr := parts.Find(t, "prometheus"), t.TempDir(), parts.FreeAddr(t)
	s := &Server{Addr: addr, URL: "http://" + addr, targets: filepath.Join(dir, "targets.json")}
	s.Scrape(t, targets...)
	rules, err := json.Marshal(append([]string{}, o.Rules...))
	if err != nil {
		t.Fatal(err)
	}
	if o.History != "" {
		history := filepath.Join(dir, "history.txt")
		if err := os.WriteFile(history, []byte(o.History+"# EOF\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		parts.Run(t, time.Minute, parts.Find(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", history, filepath.Join(dir, "data"))
	}
	config := fmt.Sprintf(`global: {scrape_interval: %[1]dms, scrape_timeout: %[1]dms, evaluation_interval: %[1]dms}
rule_files: %[3]s
scrape_configs:
- job_name: oci-proxy
  file_sd_configs: [{files: [%[2]q], refresh_interval: 1s}]
`, every.Milliseconds(), s.targets, rules)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Process = parts.Start(t, parts.Spec{
		Path: program, Ready: parts.HTTP(s.URL+"/-/ready", http.StatusOK), Abrupt: true, Quiet: true,
		Args: []string{
			"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + addr,
			"--query.lookback-delta=" + lookback.String(), "--log.level=warn",
		},
	})
	return s
}

// lookback is how long a sample counts as the present value. Prometheus's own five minutes would outlast a test.
const lookback = 15 * time.Second

// Scrape replaces the targets. Prometheus notices within a second or two.
func (s *Server) Scrape(t testing.TB, targets ...Target) {
	t.Helper()
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	list := []group{}
	for _, one := range targets {
		g := group{Targets: []string{one.Addr}, Labels: map[string]string{}}
		for name, value := range one.Labels {
			g.Labels[name] = value
		}
		if one.Job != "" {
			g.Labels["job"] = one.Job
		}
		list = append(list, g)
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.targets+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.targets+".new", s.targets); err != nil {
		t.Fatal(err)
	}
}

// Sample is one series of the answer to a query.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query evaluates an expression now.
func (s *Server) Query(expr string) ([]Sample, error) {
	client := &http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(s.URL + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct {
			ResultType string
			Result     []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("query %s: %s: %w", expr, resp.Status, err)
	}
	if answer.Status != "success" || answer.Data.ResultType != "vector" {
		return nil, fmt.Errorf("query %s: %s, %s: %s", expr, answer.Status, answer.Data.ResultType, answer.Error)
	}
	var out []Sample
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("query %s: value %v: %w", expr, r.Value[1], err)
		}
		out = append(out, Sample{r.Metric, v})
	}
	return out, nil
}

// Wait waits until an expression has a series.
func (s *Server) Wait(t testing.TB, limit time.Duration, expr string) []Sample {
	t.Helper()
	var got []Sample
	parts.Poll(t, limit, "Prometheus has "+expr, func() (err error) {
		if got, err = s.Query(expr); err == nil && len(got) == 0 {
			err = fmt.Errorf("no series")
		}
		return err
	})
	return got
}
