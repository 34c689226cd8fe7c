package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/internal/lastgood"
)

// instance is a run of serve in this process.
type instance struct {
	log           *lines
	public, admin string // set when it serves
	done          chan int
	stop          context.CancelFunc
}

// serveWith runs serve until the test ends.
func serveWith(t *testing.T, args ...string) *instance {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	i := &instance{log: new(lines), done: make(chan int, 1), stop: stop}
	go func() { i.done <- run(ctx, append([]string{"serve"}, args...), noEnv, nil, new(lines), i.log) }()
	t.Cleanup(func() { i.end(t) })
	return i
}

// end ends the instance and returns its exit code.
func (i *instance) end(t *testing.T) int {
	t.Helper()
	i.stop()
	code := <-i.done
	i.done <- code
	return code
}

// serving waits until the instance serves.
func (i *instance) serving(t *testing.T) *instance {
	t.Helper()
	eventually(t, "serving", i.log, func() bool {
		_, line, ok := strings.Cut(i.log.String(), `"msg":"serving"`)
		if !ok {
			return false
		}
		i.public, i.admin = between(line, `"listen":"`), between(line, `"admin":"`)
		return i.status(t, i.public, "/-/ready") == http.StatusOK
	})
	return i
}

func between(s, before string) string {
	_, after, _ := strings.Cut(s, before)
	text, _, _ := strings.Cut(after, `"`)
	return text
}

func (i *instance) ask(t *testing.T, addr, path string) (code int, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer resp.Body.Close()
	var text strings.Builder
	buf := make([]byte, 64<<10)
	for err == nil {
		var n int
		n, err = resp.Body.Read(buf)
		text.Write(buf[:n])
	}
	return resp.StatusCode, resp.Header, text.String()
}

func (i *instance) status(t *testing.T, addr, path string) int {
	t.Helper()
	code, _, _ := i.ask(t, addr, path)
	return code
}

// upstream returns the host to which the instance sends clients.
func (i *instance) upstream(t *testing.T) string {
	t.Helper()
	_, header, _ := i.ask(t, i.public, "/v2/app/manifests/1")
	host, _, _ := strings.Cut(strings.TrimPrefix(header.Get("Location"), "https://"), "/")
	return host
}

// figure returns the value of a metric without labels.
func (i *instance) figure(t *testing.T, name string) string {
	t.Helper()
	_, _, body := i.ask(t, i.admin, "/metrics")
	_, after, ok := strings.Cut(body, "\n"+name+" ")
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(after, "\n")
	return value
}

// configOf returns a config with that upstream.
func configOf(host string) string {
	return strings.NewReplacer("us.example.test", host, `"127.0.0.1:1"`, `"127.0.0.1:0"`, `admin: ""`, `admin: "127.0.0.1:0"`).Replace(fmt.Sprintf(serveConfig, "us"))
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(file); err != nil { // it may be a directory
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// broken has the kinds of configs that a server cannot start on, and what the log says of each.
var broken = map[string]struct {
	spoil func(t *testing.T, file string)
	says  string
}{
	"no YAML":       {writes("version: 1\n  listen: [\n"), "config.yaml:2"},
	"unknown key":   {writes(configOf("new.test") + "nonsense: true\n"), "config.yaml:7"},
	"invalid value": {writes(strings.Replace(configOf("new.test"), "10ms", "soon", 1)), "config.yaml:4"},
	"newer version": {writes("version: 99\nnew: true\n"), "config.yaml:1"},
	"empty":         {writes(""), "the file is empty"},
	"cut":           {writes(configOf("new.test")[:len(configOf("new.test"))/2]), "config.yaml:"},
	"missing":       {func(*testing.T, string) {}, "no such file"},
	"unreadable": {func(t *testing.T, file string) {
		if err := os.Mkdir(file, 0o700); err != nil {
			t.Fatal(err)
		}
	}, "is a directory"},
	"certificate missing": {writes(configOf("new.test") + "tls: {cert: gone.pem, key: gone.key}\n"), "gone.pem"},
	"matrix missing":      {writes(configOf("new.test") + "route: {latency: gone.csv}\n"), "gone.csv"},
	"address not here":    {writes(strings.Replace(configOf("new.test"), `"127.0.0.1:0"`, `"192.0.2.1:1"`, 1)), "192.0.2.1"},
}

func writes(text string) func(*testing.T, string) {
	return func(t *testing.T, file string) { t.Helper(); put(t, file, text) }
}

// TestStartOnAFallback: a pod with a bad config did not start before, although a config that had worked was there. The
// server starts on that config and is ready. It reports this in the log, the metrics and explain. It takes the config
// when it is repaired.
func TestStartOnAFallback(t *testing.T) {
	sources := map[string]func(t *testing.T, dir string) (args []string){
		"copy": func(t *testing.T, dir string) []string {
			// What an earlier run kept.
			file, copies := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "copies")
			put(t, file, configOf("old.test"))
			first := serveWith(t, "--config", file, "--last-good", copies).serving(t)
			if code := first.end(t); code != 0 {
				t.Fatalf("exit code %d\n%s", code, first.log)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			return []string{"--last-good", copies}
		},
		"file": func(t *testing.T, dir string) []string {
			previous := filepath.Join(dir, "previous.yaml")
			put(t, previous, configOf("old.test"))
			return []string{"--fallback", previous}
		},
		"file, no copy yet": func(t *testing.T, dir string) []string {
			previous := filepath.Join(dir, "previous.yaml")
			put(t, previous, configOf("old.test"))
			return []string{"--fallback", previous, "--last-good", filepath.Join(dir, "copies")}
		},
	}
	for what, bad := range broken {
		for source, prepare := range sources {
			if source == "file, no copy yet" && what != "unknown key" {
				continue
			}
			t.Run(what+"/"+source, func(t *testing.T) {
				dir := t.TempDir()
				args := prepare(t, dir)
				file := filepath.Join(dir, "config.yaml")
				bad.spoil(t, file)
				i := serveWith(t, append(args, "--config", file)...).serving(t)
				if got := i.upstream(t); got != "old.test" {
					t.Errorf("clients are sent to %q", got)
				}
				log := i.log.String()
				for _, want := range []string{"the server starts on a fallback", bad.says, file, "repair the config", `"level":"ERROR"`} {
					if !strings.Contains(log, want) {
						t.Errorf("the log does not say %q:\n%s", want, log)
					}
				}
				since := i.figure(t, "ociproxy_config_fallback_timestamp_seconds")
				if since == "0" || since == "" {
					t.Errorf("on the fallback since %q", since)
				}
				if _, _, body := i.ask(t, i.admin, "/explain?ip=192.0.2.7"); !strings.Contains(body, "started on the fallback") {
					t.Errorf("explain: %s", body)
				}
				if what != "address not here" { // the file itself is good, but only for the next start
					if got := i.figure(t, "ociproxy_config_last_reload_successful"); got != "0" {
						t.Errorf("last reload successful: %q", got)
					}
				}
				put(t, file, configOf("repaired.test"))
				eventually(t, "the repaired config is in use", i.log, func() bool {
					return i.upstream(t) == "repaired.test" && i.figure(t, "ociproxy_config_last_reload_successful") == "1" &&
						i.figure(t, "ociproxy_config_fallback_timestamp_seconds") == "0"
				})
				if _, _, body := i.ask(t, i.admin, "/explain?ip=192.0.2.7"); strings.Contains(body, "fallback") {
					t.Errorf("explain after the repair: %s", body)
				}
				if code := i.end(t); code != 0 {
					t.Errorf("exit code %d", code)
				}
			})
		}
	}
}

// TestAFallbackEndsWithTheMissingFile: the config is good, but names a file that appears later. When the file appears,
// the server takes both, without a change of the config.
func TestAFallbackEndsWithTheMissingFile(t *testing.T) {
	dir := t.TempDir()
	file, other := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "previous.yaml")
	put(t, file, configOf("new.test")+"route: {latency: later.csv}\n")
	put(t, other, configOf("old.test"))
	i := serveWith(t, "--config", file, "--fallback", other).serving(t)
	if got := i.upstream(t); got != "old.test" {
		t.Errorf("clients are sent to %q", got)
	}
	put(t, filepath.Join(dir, "later.csv"), "aws/us-east-1,gcp/us-east4,3.5\n")
	eventually(t, "the config is in use", i.log, func() bool {
		return i.upstream(t) == "new.test" && i.figure(t, "ociproxy_config_fallback_timestamp_seconds") == "0"
	})
}

// TestNoFallback: without a usable fallback the start fails as before, and the error names everything that was tried.
func TestNoFallback(t *testing.T) {
	dir := t.TempDir()
	file, other, copies := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "previous.yaml"), filepath.Join(dir, "copies")
	put(t, file, "version: 1\nnonsense: true\n")
	put(t, other, "version: 99\n")
	args := []string{"serve", "--config", file}
	for what, tt := range map[string]struct {
		args []string
		keep string // a copy
		cut  bool   // damages the copy
		says []string
	}{
		"no option":               {},
		"no copy yet":             {[]string{"--last-good", copies}, "", false, []string{copies, "it has no copy yet"}},
		"bad copy":                {[]string{"--last-good", copies}, "version: 1\nolder: true\n", false, []string{copies, `missing key "upstreams"`}},
		"copy of no use":          {[]string{"--last-good", copies}, configOf("old.test") + "tls: {cert: gone.pem, key: gone.key}\n", false, []string{copies, "gone.pem"}},
		"damaged copy":            {[]string{"--last-good", copies}, configOf("old.test"), true, []string{copies, "the copy is damaged"}},
		"bad file":                {[]string{"--fallback", other}, "", false, []string{other, "version 99"}},
		"missing file":            {[]string{"--fallback", other + ".gone"}, "", false, []string{other + ".gone", "no such file"}},
		"bad copy and file":       {[]string{"--fallback", other, "--last-good", copies}, "version: 1\nolder: true\n", false, []string{copies, `missing key "upstreams"`, other, "version 99"}},
		"copies are no directory": {[]string{"--last-good", file}, "", false, []string{file, "not a directory"}},
	} {
		t.Run(what, func(t *testing.T) {
			if err := os.RemoveAll(copies); err != nil {
				t.Fatal(err)
			}
			if tt.keep != "" {
				if err := lastgood.Dir(copies).Keep([]byte(tt.keep)); err != nil {
					t.Fatal(err)
				}
			}
			if tt.cut {
				kept, err := lastgood.Dir(copies).Copies()
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(kept[0].File, int64(len(tt.keep)/2)); err != nil {
					t.Fatal(err)
				}
			}
			log := new(lines)
			if code := run(t.Context(), append(args, tt.args...), noEnv, nil, log, log); code != 3 {
				t.Errorf("exit code %d, want 3", code)
			}
			for _, want := range append(tt.says, "nonsense", "config.yaml is invalid: 2 errors") {
				if !strings.Contains(log.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, log)
				}
			}
			if got := strings.Contains(log.String(), "no fallback can be used either"); got != (tt.args != nil) {
				t.Errorf("it speaks of fallbacks: %t\n%s", got, log)
			}
		})
	}
}

// TestAfterARollBack: the program is rolled back and the config is not. The older program knows neither the config nor
// its copy, but it can use the copy before them.
func TestAfterARollBack(t *testing.T) {
	dir := t.TempDir()
	file, copies := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "copies")
	newer := "version: 99\nnew: true\n"
	put(t, file, newer)
	for _, text := range []string{configOf("old.test"), newer} {
		if err := lastgood.Dir(copies).Keep([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	i := serveWith(t, "--config", file, "--last-good", copies).serving(t)
	if got := i.upstream(t); got != "old.test" {
		t.Errorf("clients are sent to %q", got)
	}
}

// TestACopyIsSeenFromTheConfig: the relative file names in a copy start at the directory of the config.
func TestACopyIsSeenFromTheConfig(t *testing.T) {
	dir := t.TempDir()
	file, copies := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "copies")
	put(t, filepath.Join(dir, "rtt.csv"), "aws/us-east-1,gcp/us-east4,3.5\n")
	text := configOf("old.test") + "route: {latency: rtt.csv}\n"
	if err := lastgood.Dir(copies).Keep([]byte(text)); err != nil {
		t.Fatal(err)
	}
	put(t, file, text+"nonsense: 1\n")
	i := serveWith(t, "--config", file, "--last-good", copies).serving(t)
	if got := i.upstream(t); got != "old.test" {
		t.Errorf("clients are sent to %q", got)
	}
}

// TestWhatIsKept: the server keeps the config on which it started and each config that it reloaded, byte by byte. It
// does not keep a config that has faults, or one with a new address that only a restart would try.
func TestWhatIsKept(t *testing.T) {
	dir := t.TempDir()
	file, copies := filepath.Join(dir, "config.yaml"), lastgood.Dir(filepath.Join(dir, "copies"))
	kept := func() string {
		found, err := copies.Copies()
		if err != nil || len(found) == 0 {
			return fmt.Sprint(err)
		}
		return string(found[0].Text)
	}
	text := "# a comment\n" + configOf("one.test")
	put(t, file, text)
	i := serveWith(t, "--config", file, "--last-good", string(copies)).serving(t)
	eventually(t, "the first is kept", i.log, func() bool { return kept() == text })

	put(t, file, "nonsense\n")
	eventually(t, "bad config refused", i.log, func() bool { return strings.Contains(i.log.String(), "configuration refused") })
	if got := kept(); got != text {
		t.Errorf("after a bad config: %s", got)
	}

	put(t, file, strings.Replace(configOf("two.test"), `"127.0.0.1:0"`, `"192.0.2.1:1"`, 1))
	eventually(t, "other address", i.log, func() bool { return i.upstream(t) == "two.test" })
	eventually(t, "a warning", i.log, func() bool { return strings.Contains(i.log.String(), "restart the server") })
	if got := kept(); got != text {
		t.Errorf("after a config with an address that was never tried: %s", got)
	}

	put(t, file, configOf("three.test"))
	eventually(t, "the next is kept", i.log, func() bool { return kept() == configOf("three.test") })
	if got := i.figure(t, "ociproxy_config_copy_failing"); got != "0" {
		t.Errorf("copy failing: %q", got)
	}
}

// TestCopyCannotBeWritten: a copy that cannot be written stops nothing. The log and the metrics show it.
func TestCopyCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	put(t, file, configOf("one.test"))
	i := serveWith(t, "--config", file, "--last-good", filepath.Join(file, "below")).serving(t)
	eventually(t, "a failing copy", i.log, func() bool { return i.figure(t, "ociproxy_config_copy_failing") == "1" })
	if !strings.Contains(i.log.String(), "no copy of the good config was kept") {
		t.Errorf("not in the log:\n%s", i.log)
	}
}

// TestThePortIsTaken: when another process has the port, the config has no fault, so the server must not start on a
// fallback.
func TestThePortIsTaken(t *testing.T) {
	dir := t.TempDir()
	first := filepath.Join(dir, "first.yaml")
	put(t, first, configOf("one.test"))
	i := serveWith(t, "--config", first).serving(t)
	file, other := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "previous.yaml")
	put(t, file, strings.Replace(configOf("two.test"), "127.0.0.1:0", i.public, 1))
	put(t, other, configOf("old.test"))
	log := new(lines)
	if code := run(t.Context(), []string{"serve", "--config", file, "--fallback", other}, noEnv, nil, log, log); code != 1 ||
		!strings.Contains(log.String(), "hint: stop the other process") {
		t.Errorf("exit code %d: %s", code, log)
	}
}

// TestSocketsOfAnotherProcess: a script that starts the server without exec leaves it without the sockets. The server
// warns of that. When the port is taken, the hint of the error says it too.
func TestSocketsOfAnotherProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	put(t, file, configOf("one.test"))
	env := func(key string) string { return map[string]string{"LISTEN_PID": "1", "LISTEN_FDS": "1"}[key] }
	ctx, stop := context.WithCancel(t.Context())
	i := &instance{log: new(lines), done: make(chan int, 1), stop: stop}
	go func() { i.done <- run(ctx, []string{"serve", "--config", file}, env, nil, new(lines), i.log) }()
	i.serving(t)
	if want := "sockets are for another process"; !strings.Contains(i.log.String(), want) {
		t.Errorf("no %q in the log:\n%s", want, i.log)
	}
	put(t, file, strings.Replace(configOf("one.test"), "127.0.0.1:0", i.public, 1))
	log := new(lines)
	if code := run(t.Context(), []string{"serve", "--config", file}, env, nil, log, log); code != 1 || !strings.Contains(log.String(), "LISTEN_PID is 1") {
		t.Errorf("exit code %d: %s", code, log)
	}
	i.end(t)
}
