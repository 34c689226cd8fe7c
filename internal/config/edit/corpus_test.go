package edit

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ociproxy/internal/config"
	"ociproxy/internal/thorough"
)

// corpus returns the text of every valid config file of the repository.
func corpus(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, top := range []string{"../../../examples", "../../../deploy", "../.."} {
		err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(path) != ".yaml" {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if _, err := config.ParseIn(filepath.Dir(path), path, text); err == nil {
				files[path] = string(text)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(files) < 8 {
		t.Fatalf("only %d configs", len(files))
	}
	return files
}

// sets returns every change of state and rollout that a config can have.
func sets(cfg *config.Config) (out []Set) {
	for _, st := range cfg.Stores {
		for _, state := range config.Active.Values() {
			out = append(out, Set{"stores", st.Name, "state", state})
		}
		for _, rollout := range []int{0, 7, 100} {
			out = append(out, Set{"stores", st.Name, "rollout", strconv.Itoa(rollout)})
		}
	}
	for _, up := range cfg.Upstreams {
		for _, state := range config.Active.Values() {
			out = append(out, Set{"upstreams", up.Name, "state", state})
		}
	}
	return out
}

// onlyOne requires what Apply promises: it refuses, or it changes the one value, and no line but one.
func onlyOne(t *testing.T, name, text string, s Set) (changed bool) {
	t.Helper()
	r, err := Apply(name, []byte(text), s)
	if err != nil {
		if _, ok := errors.AsType[*Refusal](err); !ok {
			t.Fatalf("%+v: %v", s, err)
		}
		return false
	}
	after := string(r.Text)
	if len(r.Changes) == 0 {
		if after != text {
			t.Fatalf("%+v: no change, and another text", s)
		}
		return false
	}
	cfg, err := config.ParseIn(filepath.Dir(name), name, r.Text)
	if err != nil {
		t.Fatalf("%+v: %v", s, err)
	}
	i := index(cfg, s)
	var got string
	switch {
	case s.Key == "rollout":
		got = strconv.Itoa(cfg.Stores[i].Rollout)
		cfg.Stores[i].Rollout = r.Old.Stores[i].Rollout
	case s.List == "stores":
		got = string(cfg.Stores[i].State)
		cfg.Stores[i].State = r.Old.Stores[i].State
	default:
		got = string(cfg.Upstreams[i].State)
		cfg.Upstreams[i].State = r.Old.Upstreams[i].State
	}
	if got != s.Value {
		t.Fatalf("%+v: it is %q", s, got)
	}
	is, err := config.Print(cfg)
	was, werr := config.Print(r.Old)
	if err != nil || werr != nil || string(is) != string(was) {
		t.Fatalf("%+v changes more: %v %v\n%s\n%s", s, err, werr, was, is)
	}
	oldLines, lines := strings.SplitAfter(text, "\n"), strings.SplitAfter(after, "\n")
	for len(oldLines) > 0 && len(lines) > 0 && oldLines[0] == lines[0] {
		oldLines, lines = oldLines[1:], lines[1:]
	}
	for len(oldLines) > 0 && len(lines) > 0 && oldLines[len(oldLines)-1] == lines[len(lines)-1] {
		oldLines, lines = oldLines[:len(oldLines)-1], lines[:len(lines)-1]
	}
	if len(oldLines) > 1 || len(lines) > 2 || len(lines) == 2 && !strings.HasPrefix(lines[0], strings.Join(oldLines, "")) {
		t.Fatalf("%+v changes more lines: %q → %q", s, oldLines, lines)
	}
	return true
}

// TestCorpus makes changes in every config of the repository. None is refused but those of canonical upstreams.
func TestCorpus(t *testing.T) {
	for name, text := range corpus(t) {
		cfg, err := config.ParseIn(filepath.Dir(name), name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		list := sets(cfg)
		random := rand.New(rand.NewPCG(1, 14))
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		list = list[:min(len(list), thorough.Rounds(4, len(list)))]
		changed := 0
		for _, s := range list {
			if onlyOne(t, name, text, s) {
				changed++
			} else if r, err := Apply(name, []byte(text), s); err != nil && !strings.Contains(err.Error(), "canonical") {
				t.Errorf("%s: %+v: %v", name, s, err)
			} else if err == nil && len(r.Changes) > 0 {
				t.Errorf("%s: %+v: once so, once otherwise", name, s)
			}
		}
		if thorough.On() && len(cfg.Stores) > 0 && changed < len(list)/3 { // a few may all say what the file says
			t.Errorf("%s: only %d of %d changes were made", name, changed, len(list))
		}
	}
}

// FuzzApply looks for a file that an edit breaks.
//
// It tries some hundreds of inputs a second: each reads the whole config twice.
func FuzzApply(f *testing.F) {
	for _, text := range corpus(f) {
		if len(text) < 4<<10 {
			f.Add(text, uint8(3))
			f.Add(strings.ReplaceAll(text, "\n", "\r\n"), uint8(11))
		}
	}
	f.Add(around("  - &a {name: a, cdn: fastly, url: 'https://a.example/{digest}', serves: all}\n  - {<<: *a, name: b, state: &s off}\n"), uint8(0))
	f.Add(around("  - ? name\n    : a\n    ? state\n    : \"off\"\n    cdn: fastly # x\n      # y\n    url: >-\n      https://a.example/{digest}\n    serves: [all]\n"), uint8(1))
	f.Fuzz(func(t *testing.T, text string, which uint8) {
		cfg, err := config.ParseIn(".", "c.yaml", []byte(text))
		if err != nil {
			return
		}
		list := sets(cfg)
		if len(list) == 0 {
			return
		}
		s := list[int(which)%len(list)]
		onlyOne(t, "c.yaml", text, s)
		if i := index(cfg, s); s.List == "stores" {
			first, lines := Lines([]byte(text), s.List, i)
			if n := len(lineStarts(text)); first < 0 || (first == 0) != (lines == nil) || first-1+len(lines) > n {
				t.Errorf("%d lines from %d of %d", len(lines), first, n)
			}
		}
	})
}

// TestLines reads the lines of stanzas, without the comments and blank lines around them.
func TestLines(t *testing.T) {
	text := around("  # about a\n  - name: a # 1\n    url: x\n\n    # in it\n    cdn: y\n\n  # about b\n  - {name: b,\n     url: x}\n\n# about the log\n")
	for i, want := range []struct {
		first int
		text  string
	}{{11, "  - name: a # 1|    url: x||    # in it|    cdn: y"}, {18, "  - {name: b,|     url: x}"}} {
		first, lines := Lines([]byte(text), "stores", i)
		if got := strings.Join(lines, "|"); first != want.first || got != want.text {
			t.Errorf("%d: %d %q, want %d %q", i, first, got, want.first, want.text)
		}
	}
	for i, want := range []int{5, 6} {
		if first, _ := Lines([]byte(text), "upstreams", i); first != want {
			t.Errorf("upstream %d: line %d", i, first)
		}
	}
	if first, lines := Lines([]byte(text), "stores", 2); first != 0 || lines != nil {
		t.Error(first, lines)
	}
	if first, lines := Lines([]byte("version: 1\r\nstores:\r\n- name: a\r\n  url: x"), "stores", 0); first != 3 || !slices.Equal(lines, []string{"- name: a", "  url: x"}) {
		t.Errorf("%d %q", first, lines)
	}
	if keys := keyOrder("stores"); !slices.Contains(keys, "state") || keys[0] != "name" {
		t.Errorf("keys %q", keys)
	}
}
