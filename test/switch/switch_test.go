package switch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/test/ctl"
	"ociproxy/test/s3"
)

// world is a publication in a bucket of versitygw.
type world struct {
	bucket *s3.Store
	public map[string]string // keys, by name
	dir    string            // with the keys and configs
	env    []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := newKeys(t)
	w.bucket = s3.Start(t, "us-east-1")
	w.deployment(t, "prod")
	return w
}

// newKeys returns a world with keys and without a bucket.
func newKeys(t *testing.T) *world {
	t.Helper()
	w := &world{public: map[string]string{}, dir: t.TempDir()}
	for _, name := range []string{"root", "ci", "oncall"} {
		private, err := key.New(w.file(name + ".key"))
		if err != nil {
			t.Fatal(err)
		}
		w.public[name] = key.Format(key.Public(private))
	}
	return w
}

// deployment makes the publication of a deployment. From now on, run is about it.
func (w *world) deployment(t *testing.T, name string) {
	t.Helper()
	w.env = []string{
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test-secret",
		"OCI_PROXY_PUBLICATION=s3://blobs/" + name + "?region=us-east-1&pathStyle=true&endpoint=http://" + w.bucket.Backend(),
		"OCI_PROXY_DEPLOYMENT=" + name, "OCI_PROXY_CONFIG_KEYS=" + w.public["root"],
	}
	w.firstKeys(t)
}

// firstKeys makes the set of keys.
func (w *world) firstKeys(t *testing.T) {
	t.Helper()
	w.run(t, 0, "config", "keys", "add", "--config-key", "ci="+w.public["ci"], "--override-key", "oncall="+w.public["oncall"], "--key", w.file("root.key"), "--why", "first")
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

func (w *world) run(t *testing.T, code int, args ...string) ctl.Ran {
	t.Helper()
	r := ctl.Run(t, ctl.Limit, w.env, args...)
	if r.Code != code {
		t.Fatalf("%v: want exit code %d\n%v", args, code, r)
	}
	return r
}

// write writes a config with n stores, s0 to sN.
func (w *world) write(t *testing.T, name string, n int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\nlocation: aws/us-east-1\nranges: {cache: \"\", feeds: [{provider: aws}]}\n" +
		"upstreams: [{name: main, url: \"https://r.example\", place: aws/us-east-1, canonical: true}]\nstores:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {name: s%d, place: aws/us-west-2, url: \"https://s%d.example/{digest}\", serves: [aws]}\n", i, i)
	}
	if err := os.WriteFile(w.file(name), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return w.file(name)
}

// TestManyOperators: when operators write overrides at the same time, none is lost, and neither is an entry of the log.
func TestManyOperators(t *testing.T) {
	const operators = 8
	w := newWorld(t)
	w.run(t, 0, "config", "publish", w.write(t, "c.yaml", operators), "--ring", "all", "--key", w.file("ci.key"), "--why", "first")
	var all sync.WaitGroup
	for i := range operators {
		all.Go(func() {
			r := ctl.Run(t, ctl.Limit, w.env, "store", "off", fmt.Sprintf("s%d", i), "--key", w.file("oncall.key"), "--why", "dead")
			if r.Code != 0 || strings.Contains(r.Stderr, "audit log") {
				t.Error(r)
			}
		})
	}
	all.Wait()
	list := ctl.Decode[[]publication.Override](t, w.run(t, 0, "store", "overrides", "-o", "json").Stdout)
	if len(list) != operators {
		t.Errorf("%d overrides, want %d: %+v", len(list), operators, list)
	}
	log := w.run(t, 0, "config", "log", "-o", "json").Stdout
	if got := strings.Count(log, `"action":"off"`); got != operators {
		t.Errorf("the log has %d of %d entries:\n%s", got, operators, log)
	}
}

// TestTwoPublish: of two publications at the same time one is refused, or comes after the other; both rings agree.
func TestTwoPublish(t *testing.T) {
	w := newWorld(t)
	files := []string{w.write(t, "a.yaml", 1), w.write(t, "b.yaml", 2), w.write(t, "c.yaml", 3), w.write(t, "d.yaml", 4)}
	codes := make([]int, len(files))
	var all sync.WaitGroup
	for i, file := range files {
		all.Go(func() {
			r := ctl.Run(t, ctl.Limit, w.env, "config", "publish", file, "--ring", "canary,all", "--key", w.file("ci.key"), "--why", "race")
			if codes[i] = r.Code; r.Code != 0 && !strings.Contains(r.Stderr, "somebody else has just changed it") {
				t.Error(r)
			}
		})
	}
	all.Wait()
	status := ctl.Decode[struct {
		Rings []struct {
			Generation int
			Previous   []struct{ Generation int }
		}
	}](t, w.run(t, 0, "config", "status", "-o", "json").Stdout)
	won := 0
	for _, code := range codes {
		if code == 0 {
			won++
		}
	}
	if won == 0 || len(status.Rings) != 2 {
		t.Fatalf("%v: %+v", codes, status)
	}
	for _, r := range status.Rings { // each that was told of success is in the history
		if len(r.Previous)+1 < won {
			t.Errorf("%v: %+v", codes, r)
		}
	}
}

// TestKilled: whenever config publish is killed, each ring has the old config or the new one, and the same command
// completes the work.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	one, two := w.write(t, "a.yaml", 1), w.write(t, "b.yaml", 2)
	publish := func(file string) []string {
		return []string{"config", "publish", file, "--ring", "canary,early,all", "--key", w.file("ci.key"), "--why", "kill"}
	}
	w.run(t, 0, publish(one)...)
	for i := range 4 {
		file := []string{two, one}[i%2]
		r := ctl.Start(t, w.env, publish(file)...)
		w.run(t, 0, "version") // some time, which differs
		r.Signal(syscall.SIGKILL)
		r.Wait(t, ctl.Limit)
		for _, ring := range []string{"canary", "early", "all"} {
			d := ctl.Run(t, ctl.Limit, w.env, "config", "diff", file, "--ring", ring)
			if d.Code != 0 && d.Code != 4 || d.Code == 4 && !strings.Contains(d.Stdout, "s1: ") {
				t.Fatalf("ring %s: %v", ring, d)
			}
		}
		w.run(t, 0, publish(file)...)
		for _, ring := range []string{"canary", "early", "all"} {
			w.run(t, 0, "config", "diff", file, "--ring", ring)
		}
	}
}
