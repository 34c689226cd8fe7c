package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/clientip"
	"ociproxy/internal/config"
	"ociproxy/internal/existence"
	"ociproxy/internal/metrics"
	"ociproxy/internal/mirror"
	"ociproxy/internal/probe/monitor"
	"ociproxy/internal/probe/status"
	"ociproxy/internal/promote/prove"
	"ociproxy/internal/route"
)

const root = ".."

func read(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// built reports whether name, a path from the project's root, is what make targets write there: .gitignore lists it.
func built(t *testing.T, name string) bool {
	t.Helper()
	return slices.ContainsFunc(strings.Fields(read(t, ".gitignore")), func(ignored string) bool {
		return strings.Trim(ignored, "/") == filepath.ToSlash(name) && strings.HasPrefix(ignored, "/")
	})
}

// pages are all Markdown files of the project, by their path from its root.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.IsDir() && filepath.Ext(path) == ".md":
			name, err := filepath.Rel(root, path)
			all = append(all, name)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	fence   = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```[ \t]*$")
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	drop    = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// sections are the texts below a page's headings, without blocks of code, each as far as the next heading. Their keys
// are the fragments that the headings can be linked by, as GitHub makes them.
func sections(page string) map[string]string {
	page = fence.ReplaceAllString(page, "")
	all := map[string]string{}
	headings := heading.FindAllStringSubmatchIndex(page, -1)
	for i, m := range headings {
		end := len(page)
		if i+1 < len(headings) {
			end = headings[i+1][0]
		}
		title := strings.ToLower(page[m[2]:m[3]])
		all[strings.ReplaceAll(drop.ReplaceAllString(title, ""), " ", "-")] = page[m[1]:end]
	}
	return all
}

func TestLinksResolve(t *testing.T) {
	for _, name := range pages(t) {
		body := fence.ReplaceAllString(read(t, name), "")
		for _, m := range link.FindAllStringSubmatch(body, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if fault := unresolved(t, name, m[1]); fault != "" {
				t.Errorf("%s: link %s: %s", name, m[1], fault)
			}
		}
	}
}

// unresolved says why target, a link on the page from, leads nowhere; "" when it leads somewhere.
func unresolved(t *testing.T, from, target string) string {
	path, fragment, _ := strings.Cut(target, "#")
	file := from
	if path != "" {
		file = filepath.Join(filepath.Dir(from), path)
	}
	if _, err := os.Stat(filepath.Join(root, file)); err != nil {
		return "no such file"
	}
	if fragment != "" && filepath.Ext(file) == ".md" {
		if _, ok := sections(read(t, file))[fragment]; !ok {
			return "no such heading"
		}
	}
	return ""
}

// TestMakeTargets: whatever a page tells people to make can be made.
func TestMakeTargets(t *testing.T) {
	makefile := read(t, "Makefile")
	command := regexp.MustCompile("(?m)(?:^\\$ |`)make ([a-z][a-z-]*)")
	found := 0
	for _, name := range pages(t) {
		for _, m := range command.FindAllStringSubmatch(read(t, name), -1) {
			found++
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
				t.Errorf("%s: make %s: the Makefile has no such rule", name, m[1])
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d commands found: is the pattern still right?", found)
	}
}

// served are the descriptions of the server's own metrics.
func served() []*prometheus.Desc {
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		m := metrics.New("test")
		m.FollowPublication(func() metrics.Publication { return metrics.Publication{} })
		m.Registry.Describe(ch)
	}()
	var all []*prometheus.Desc
	for d := range ch {
		all = append(all, d)
	}
	return all
}

// defined are the names of metrics.
func defined(descriptions []*prometheus.Desc) []string {
	name := regexp.MustCompile(`fqName: "(ociproxy_[a-z0-9_]+)"`)
	var all []string
	for _, d := range descriptions {
		if m := name.FindStringSubmatch(d.String()); m != nil {
			all = append(all, m[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var (
	metricName = regexp.MustCompile(`\bociproxy_[a-z0-9_]*[a-z0-9]`)
	histogram  = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// named are the metrics that text names.
func named(text string) []string {
	var all []string
	for _, name := range metricName.FindAllString(text, -1) {
		all = append(all, histogram.ReplaceAllString(name, ""))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// explains is where the metrics of each program have a row; all of them, and no other below a name they share.
var explains = []struct {
	page, prefix string
	metrics      []*prometheus.Desc
}{
	{"docs/monitor.md", "ociproxy_", served()},
	{"docs/monitor.md", "ociproxy_probe_", monitor.Metrics()},
	{"docs/monitor.md", "ociproxy_probe_status_", status.Metrics()},
	{"docs/mirroring.md", "ociproxy_mirror_", mirror.Metrics()},
	{"docs/promotion.md", "ociproxy_promote_verify_", prove.Metrics()},
}

// TestMetrics: each program's page explains every metric of it; no page names one that is not there.
func TestMetrics(t *testing.T) {
	var all []string
	for _, e := range explains {
		want, got := defined(e.metrics), named(read(t, e.page))
		all = append(all, want...)
		for _, metric := range want {
			if !strings.HasPrefix(metric, e.prefix) || !slices.Contains(got, metric) {
				t.Errorf("%s does not explain %s", e.page, metric)
			}
		}
	}
	for _, name := range append(pages(t), alertFiles...) {
		for _, metric := range named(read(t, name)) {
			if !slices.Contains(all, metric) {
				t.Errorf("%s: no metric %s", name, metric)
			}
		}
	}
}

// TestLabels: the tables of monitor.md and client-address.md have a row for every value of these labels, or name it.
func TestLabels(t *testing.T) {
	monitor, address := read(t, "docs/monitor.md"), read(t, "docs/client-address.md")
	for _, r := range route.Reasons() {
		if r != route.Denied && !strings.Contains(monitor, "\n| `"+r.String()+"` |") { // a denial is no redirect
			t.Errorf("docs/monitor.md has no row for reason %s", r)
		}
	}
	for _, s := range clientip.Sources() {
		if !strings.Contains(address, "\n| `"+s.String()+"` |") {
			t.Errorf("docs/client-address.md has no row for source %s", s)
		}
	}
	for _, r := range existence.Results() {
		if !strings.Contains(monitor, "`"+r+"`") {
			t.Errorf("docs/monitor.md does not name result %s", r)
		}
	}
}

// TestConfigs: every whole config on a page is one.
func TestConfigs(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	found := 0
	for _, name := range pages(t) {
		for _, m := range block.FindAllStringSubmatch(read(t, name), -1) {
			if !regexp.MustCompile(`(?m)^version: `).MatchString(m[1]) {
				continue // a part of one
			}
			found++
			if _, err := config.Parse(name, []byte(m[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if found == 0 {
		t.Error("no config found: is the pattern still right?")
	}
}
