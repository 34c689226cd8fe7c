package faults

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// refused checks that the proxy refused a config and kept the old one.
var refused = rises("ociproxy_config_reloads_total", `result="invalid"`)

// raw writes the config in place, as a careless editor does.
func raw(t *testing.T, w *world, text []byte) {
	t.Helper()
	if err := os.WriteFile(w.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// without returns the config with storeUS drained: a change that has an effect.
func (w *world) without() proxy.Config {
	c := w.config.With(nil)
	list := proxy.List{}
	for _, s := range w.config["stores"].(proxy.List) {
		store := proxy.Map(proxy.Config(s.(proxy.Map)).With(nil))
		if store["name"] == storeUS {
			store["state"] = "draining"
		}
		list = append(list, store)
	}
	c["stores"] = list
	return c
}

// link lays the config out as Kubernetes does: file → ..data/file, ..data → ..version.
func link(t *testing.T, w *world) {
	dir := filepath.Dir(w.file)
	whole, err := os.ReadFile(w.file)
	if err == nil {
		err = os.Remove(w.file)
	}
	if err != nil {
		t.Fatal(err)
	}
	swap(t, dir, "..first", whole)
	if err := os.Symlink("..data/"+filepath.Base(w.file), w.file); err != nil {
		t.Fatal(err)
	}
}

func swap(t *testing.T, dir, version string, config []byte) {
	t.Helper()
	for _, step := range []func() error{
		func() error { return os.Mkdir(filepath.Join(dir, version), 0o700) },
		func() error { return os.WriteFile(filepath.Join(dir, version, "oci-proxy.yaml"), config, 0o600) },
		func() error { return os.Symlink(version, filepath.Join(dir, "..tmp")) },
		func() error { return os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

// damage applies how to every file below a directory.
func damage(t *testing.T, dir string, how func(file string) error) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		return how(file)
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files in the cache, %v", files, err)
	}
}

func flipFile(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for i := range data {
		data[i] ^= 0x55
	}
	return os.WriteFile(file+"~", data, 0o600)
}

// copies returns the directory for copies of the configuration.
func (w *world) copies() string { return filepath.Join(filepath.Dir(w.cache), "copies") }

// crash waits until the last good copies of all inventories are on disk, then kills the proxy.
func crash(t *testing.T, w *world) {
	t.Helper()
	parts.Poll(t, 30*time.Second, "last good copies", func() error {
		heads, err := filepath.Glob(filepath.Join(w.cache, "inventory", "head", "h-*"))
		if len(heads) < len(stores) {
			err = fmt.Errorf("%d heads: %w", len(heads), err)
		}
		return err
	})
	w.proxy.Signal(t, syscall.SIGKILL)
	w.proxy.Wait(t, 10*time.Second)
}

func configFaults() []fault {
	return []fault{
		{name: "config bad", unnoticed: true, sees: refused,
			strike: func(t *testing.T, w *world) { raw(t, w, []byte("version: 1\nupstreams: []\nstores: nonsense\n")) }},
		{name: "config half-written", unnoticed: true,
			strike: func(t *testing.T, w *world) {
				whole, err := os.ReadFile(w.file)
				if err != nil {
					t.Fatal(err)
				}
				raw(t, w, whole[:len(whole)/2])
				w.poll(t, "half a file refused", refused)
				w.without().Write(t, w.file)
			},
			sees: rises("ociproxy_config_reloads_total", `result="ok"`)},
		{name: "config swapped by symlink", unnoticed: true, options: options{prepare: link},
			strike: func(t *testing.T, w *world) {
				file := filepath.Join(t.TempDir(), "next.yaml")
				w.without().Write(t, file)
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				dir := filepath.Dir(w.file)
				swap(t, dir, "..second", text)
				if err := os.RemoveAll(filepath.Join(dir, "..first")); err != nil {
					t.Fatal(err)
				}
			},
			sees: rises("ociproxy_config_reloads_total", `result="ok"`)},
		{name: "config file gone", unnoticed: true, sees: refused,
			strike: func(t *testing.T, w *world) {
				if err := os.Remove(w.file); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "restart with a bad config", unnoticed: true,
			options: options{
				env: func(_ *testing.T, w *world) []string { return []string{"OCI_PROXY_LAST_GOOD=" + w.copies()} },
				start: func(t *testing.T, w *world) {
					w.start(t)
					parts.Poll(t, 30*time.Second, "a copy of the config", func() error {
						kept, err := os.ReadDir(w.copies())
						if err == nil && len(kept) != 1 {
							err = fmt.Errorf("%d copies", len(kept))
						}
						return err
					})
					w.proxy.Signal(t, syscall.SIGKILL)
					w.proxy.Wait(t, 10*time.Second)
					raw(t, w, []byte("version: 1\nupstreams: []\nstores: nonsense\n"))
					w.start(t)
				},
			},
			sees: all(rises("ociproxy_config_fallback_timestamp_seconds"), refused)},
		{name: "disk cache unwritable", unnoticed: true,
			options: options{
				prepare: func(t *testing.T, w *world) {
					if err := os.Mkdir(w.cache, 0o700); err != nil {
						t.Fatal(err)
					}
				},
				command: func(t *testing.T, w *world, binary string) []string {
					return []string{parts.Find(t, "unshare"), "--mount", "sh", "-c", `mount -t tmpfs -o ro none "$1" && exec "$2" serve --config "$3"`,
						"sh", w.cache, binary, w.file}
				},
			},
			sees: all(inventoryIs(storeUS, "current"), inventoryIs(storeAz, "current"))},
		{name: "disk cache taken away", unnoticed: true,
			strike: func(t *testing.T, w *world) {
				if err := os.RemoveAll(w.cache); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(w.cache, nil, 0o600); err != nil { // no directory can be made there now
					t.Fatal(err)
				}
				hasNews(t, w)
			},
			sees: inventoryIs(storeUS, "current")},
		{name: "disk cache full", unnoticed: true,
			options: options{
				prepare: func(t *testing.T, w *world) {
					if err := os.Mkdir(w.cache, 0o700); err != nil {
						t.Fatal(err)
					}
				},
				command: func(t *testing.T, w *world, binary string) []string {
					return []string{parts.Find(t, "unshare"), "--mount", "sh", "-c", `mount -t tmpfs -o size=4k none "$1" && exec "$2" serve --config "$3"`,
						"sh", w.cache, binary, w.file}
				},
			},
			sees: all(inventoryIs(storeUS, "current"), inventoryIs(storeAz, "current"))},
		{name: "disk cache corrupt", unnoticed: true,
			options: options{start: func(t *testing.T, w *world) {
				w.start(t)
				crash(t, w)
				damage(t, w.cache, func(file string) error {
					if err := flipFile(file); err != nil {
						return err
					}
					return os.Rename(file+"~", file)
				})
				w.start(t)
			}},
			sees: all(inventoryIs(storeUS, "current"), inventoryIs(storeAz, "current"))},
		{name: "disk cache truncated while in use", unnoticed: true,
			strike: func(t *testing.T, w *world) {
				damage(t, w.cache, func(file string) error { return os.Truncate(file, 0) })
			},
			sees: inventoryIs(storeUS, "current")},
		{name: "restart with everything else down",
			options: options{feed: true, start: func(t *testing.T, w *world) {
				w.start(t)
				crash(t, w)
				w.feed.answer(status(500))
				stop(storeUS, storeEU, storeAz, replica)(t, w)
				w.start(t)
			}},
			// The proxy may send the first pulls to stores that the last good copies name.
			sees: all(everybodyLocated, rises("ociproxy_inventory_held_digests", `candidate="`+storeUS+`"`), ejected(storeUS))},
	}
}
