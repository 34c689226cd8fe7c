package previous

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/shop"
)

// publishes reports whether a release knows published configs.
func (r release) publishes(t *testing.T) bool {
	t.Helper()
	return strings.Contains(run(t, nil, r.server, "serve", "--help"), "--ring")
}

// TestSlowPreviousPublication: both releases publish to the same bucket and follow it: what one has written, the other
// reads, from the bucket and from the copy on disk. While the previous release knows no published configs, this release
// is tried with itself.
func TestSlowPreviousPublication(t *testing.T) {
	parts.Slow(t)
	now := current(t)
	if !now.publishes(t) {
		t.Skip("this release knows no published configs")
	}
	all := map[string][2]release{"with itself": {now, now}}
	if previous(t).publishes(t) {
		all = orders(t)
	}
	for order, r := range all {
		t.Run(order, func(t *testing.T) { publishInTurn(t, newWorld(t), r[0], r[1]) })
	}
}

var publicKey = regexp.MustCompile(`[A-Za-z0-9+/]{43}=`)

func publishInTurn(t *testing.T, w *world, writer, reader release) {
	dir, store := t.TempDir(), w.shops[0]
	key := func(name string) (file, public string) {
		file = filepath.Join(dir, name)
		return file, publicKey.FindString(run(t, nil, writer.tool, "key", "new", file))
	}
	rootFile, root := key("root.key")
	ciFile, ci := key("ci.key")
	env := slices.Concat(shop.Environment, []string{"OCI_PROXY_DEPLOYMENT=production", "OCI_PROXY_CONFIG_KEYS=" + root,
		"OCI_PROXY_PUBLICATION=" + strings.Replace(store.Bucket, "?", "/config?", 1), "OCI_PROXY_KEY=" + ciFile})
	run(t, env, writer.tool, "config", "keys", "add", "--config-key", "ci="+ci, "--key", rootFile, "--why", "first keys")
	publish := func(r release, home string) {
		w.config["pages"] = proxy.Map{"home": home}
		w.config.Write(t, w.file)
		run(t, env, r.tool, "config", "publish", w.file, "--ring", "all", "--why", "test")
	}
	serve := func(r release) *proxy.Proxy {
		return proxy.StartProgram(t, r.server, store.Base+"config/", w.config, append(env, "OCI_PROXY_LAST_GOOD="+w.lastGood)...)
	}
	const one, two = "https://example.org/1", "https://example.org/2"

	w.mirror(t, writer)
	publish(writer, one)
	p := serve(writer)
	want := w.first(t, p)
	w.stop(t, p)
	w.down()
	p = serve(reader) // on the copy
	w.same(t, p, want)
	w.stop(t, p)
	w.up()
	p = serve(writer)
	publish(reader, two)
	parts.Poll(t, time.Minute, "the writer follows the reader", func() error {
		got, err := ask(p, "HEAD", "/", clients["home"])
		if err == nil && !strings.Contains(got, two) {
			err = fmt.Errorf("/ leads to %q", got)
		}
		return err
	})
	w.stop(t, p)
}
