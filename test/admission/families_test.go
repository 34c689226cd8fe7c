package admission

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// A store that has addresses of both families, of which one does not serve, is refused.
func (w *world) families(t *testing.T) {
	parts.NeedRoot(t) // for a name of our own
	denied := blobs(method("GET", status(http.StatusForbidden)))
	for _, c := range []struct {
		name   string
		v4, v6 fault
		closed bool // nothing listens on the IPv6 address
		want   map[string]string
	}{
		{name: "both", want: map[string]string{"live.ipv4": "ok", "live.ipv6": "ok", "read.ipv4": "ok", "read.ipv6": "ok"}},
		{name: "no reads over IPv6", v6: denied, want: map[string]string{"live.ipv6": "ok", "read.ipv4": "ok", "read.ipv6": "error"}},
		{name: "no reads over IPv4", v4: denied, want: map[string]string{"read.ipv4": "error", "read.ipv6": "ok"}},
		{name: "no server at the IPv6 address", closed: true, want: map[string]string{"live.ipv4": "ok", "live.ipv6": "error", "read.ipv6": "error"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.with(t, w.shops)
			_, port, err := net.SplitHostPort(parts.FreeAddr(t))
			if err != nil {
				t.Fatal(err)
			}
			serve(t, w.faulty(t, c.v4), "127.0.0.1:"+port)
			if !c.closed {
				serve(t, w.faulty(t, c.v6), "[::1]:"+port)
			}
			w.behind(t, "http://store.test:"+port)
			w.store()["families"] = proxy.List{"ipv4", "ipv6"}
			r := w.admitNamed(t, "store.test")
			got := r.results()
			for id, want := range c.want {
				if got[id] != want {
					t.Errorf("%s is %q, want %s", id, got[id], want)
				}
			}
			if fails := c.v4 != nil || c.v6 != nil || c.closed; (r.Verdict == "fail") != fails {
				t.Errorf("verdict %s", r.Verdict)
			}
			if t.Failed() {
				t.Log(&r)
			}
		})
	}
}

// admitNamed examines the store in a mount namespace in which a host name has both addresses of this machine.
func (w *world) admitNamed(t *testing.T, host string) record {
	t.Helper()
	dir := t.TempDir()
	hosts, out := filepath.Join(dir, "hosts"), filepath.Join(dir, "out")
	if err := os.WriteFile(hosts, fmt.Appendf(nil, "127.0.0.1 localhost %[1]s\n::1 %[1]s\n", host), 0o600); err != nil {
		t.Fatal(err)
	}
	w.config.Write(t, w.file)
	args := []string{"--mount", "--", "/bin/sh", "-c", `mount --bind "$1" /etc/hosts && out=$2 && shift 2 && "$@" >"$out" || test $? = 4`, "sh", hosts, out,
		ctl.Binary(t), "store", "admit", w.shops[0].Name, "--config", w.file, "--output", "json"}
	parts.Run(t, ctl.Limit, parts.Find(t, "unshare"), slices.Concat(args, quick)...)
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return ctl.Decode[record](t, string(text))
}
