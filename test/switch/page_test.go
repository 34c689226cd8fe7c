package switch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
)

// block matches a block of commands, also in a list.
var block = regexp.MustCompile("(?ms)^ *```(sh|console)\n(.*?)^ *```")

// blocks returns the commands of a page, block by block, as they are printed. Only what names the reader's own bucket,
// key and Prometheus is replaced.
func (w *world) blocks(t *testing.T, page string) (out []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts.Root(), "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	own := strings.NewReplacer(
		"s3://BUCKET/config?region=us-east-1", "s3://blobs/page?region=us-east-1&pathStyle=true&endpoint=http://"+w.bucket.Backend(),
		"'ROOT PUBLIC KEY'", `"$(public root.key)"`,
		"http://prometheus.example:9090", "", // TestInstances has one
	)
	prompt := regexp.MustCompile(`(?m)^ *\$ `)
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		commands := m[2]
		if m[1] == "console" {
			commands = prompt.ReplaceAllString(commands, "")
		}
		out = append(out, own.Replace(commands))
	}
	return out
}

// sh runs blocks in one shell, which stops at the first command that fails.
func (w *world) sh(t *testing.T, blocks ...string) {
	t.Helper()
	p := parts.Start(t, parts.Spec{
		Path: "/bin/sh", Args: []string{"-exc", strings.Join(blocks, "\n")}, Dir: w.dir,
		Env: []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test-secret", "PATH=" + w.dir + ":" + os.Getenv("PATH")},
	})
	if code := p.Wait(t, 3*time.Minute); code != 0 {
		t.Fatalf("exit code %d\n%s", code, p.Output.Tail(40))
	}
}

// TestPages runs the commands of docs/publication.md and docs/emergency-switch.md as they are printed.
func TestPages(t *testing.T) {
	w := newWorld(t)
	if err := os.Symlink(ctl.Binary(t), w.file("oci-proxyctl")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root.key", "ci.key", "oncall.key"} { // the page makes its own
		if err := os.Remove(w.file(name)); err != nil {
			t.Fatal(err)
		}
	}
	publication := w.blocks(t, "publication.md")
	if len(publication) != 6 || !strings.HasPrefix(publication[4], "oci-proxy serve") { // that one has no bucket with https here
		t.Fatalf("the page has other blocks than this test knows: %q", publication)
	}
	names := func(more string) {
		text := "version: 1\nlocation: aws/us-east-1\nranges: {cache: \"\", feeds: [{provider: aws}]}\n" +
			"upstreams: [{name: main, url: \"https://r.example\", place: aws/us-east-1, canonical: true}]\nstores:\n" +
			"- {name: s3-use1, place: aws/us-east-1, url: \"https://s1.example/{digest}\", serves: [aws]}\n" +
			"- {name: s3-use2, place: aws/us-east-2, url: \"https://s2.example/{digest}\", serves: [aws]" + more + "}\n"
		if err := os.WriteFile(w.file("config.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names("")
	w.sh(t, publication[0], publication[1])
	names(", rollout: 50")
	// The exports of the first block hold for the later ones; its keys exist.
	exports := regexp.MustCompile(`(?m)^ *(public\(\)|export ).*$`)
	again := strings.Join(exports.FindAllString(publication[0], -1), "\n")
	w.sh(t, again, publication[2], publication[3])
	if _, err := os.Stat(w.file("fallback/rings/canary/head.json")); err != nil {
		t.Error(err)
	}
	w.sh(t, again, "oci-proxyctl config publish config.yaml --ring canary,all --key ci.key --why second")

	emergency := w.blocks(t, "emergency-switch.md")
	if len(emergency) != 7 {
		t.Fatalf("the page has other blocks than this test knows: %q", emergency)
	}
	w.sh(t, append([]string{again}, emergency...)...)
	w.sh(t, again, publication[5]) // the emergency page still has the first key
}
