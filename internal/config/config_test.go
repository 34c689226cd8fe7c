package config

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	yaml "go.yaml.in/yaml/v4"

	"ociproxy/internal/oci"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// same compares what a file says, not which file said it.
var same = []cmp.Option{
	cmpopts.IgnoreUnexported(Config{}), cmpopts.IgnoreFields(Config{}, "Hash", "Warnings"), cmpopts.EquateEmpty(),
	cmpopts.EquateComparable(oci.Digest{}, netip.Prefix{}),
}

func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Load(file)
			var faults *Errors
			if !errors.As(err, &faults) {
				t.Fatalf("error %v is no *Errors", err)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Error("a secret is in the message")
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func TestManyFaultsAtOnce(t *testing.T) {
	_, err := Load("testdata/faults/many.yaml")
	var faults *Errors
	if !errors.As(err, &faults) || len(faults.List) < 30 {
		t.Fatalf("got %v", err)
	}
	last := 0
	for _, f := range faults.List {
		if f.Line < last {
			t.Errorf("line %d comes after line %d", f.Line, last)
		}
		last = f.Line
	}
	var one *Error
	if !errors.As(err, &one) || one != faults.List[0] {
		t.Error("a single fault cannot be had with errors.As")
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEveryKeyIsRead(t *testing.T) {
	data, err := os.ReadFile("testdata/good/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := &decoder{source: newSource("full.yaml", data), nodes: map[string]*yaml.Node{}, bad: map[string]bool{}}
	if d.read(data); len(d.faults) > 0 {
		t.Fatal((&Errors{List: d.faults}).Error())
	}
	have := map[string]bool{}
	for path := range d.nodes {
		for _, index := range []string{"[0]", "[1]", "[2]"} {
			path = strings.ReplaceAll(path, index, "[]")
		}
		have[strings.NewReplacer("places.onprem/berlin", "places.<place>", "accounts.012345678901", "accounts.<name>", "stored.1", "stored.<name>", "resources.1", "resources.<name>").Replace(path)] = true
	}
	for _, s := range Describe() {
		for _, k := range s.Keys {
			if want := join(s.Paths[0], k.Name); !have[want] {
				t.Errorf("full.yaml lacks %s", want)
			}
		}
	}
}

func TestPrintRoundTrip(t *testing.T) {
	files, _ := filepath.Glob("testdata/good/*.yaml")
	examples, _ := filepath.Glob("../../examples/*.yaml")
	for _, file := range append(files, examples...) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, c)
		})
	}
}

func roundTrip(t *testing.T, c *Config) {
	t.Helper()
	text, err := Print(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("printed", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(c, again, same...); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPrintGolden(t *testing.T) {
	c, err := Load("testdata/good/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := Print(c)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/good/minimal.golden", string(text))
}

func TestDefaults(t *testing.T) {
	c, err := Parse("x", []byte("version: 1\nupstreams: [{name: a, url: 'https://r.example', place: aws/us-east-1, canonical: true}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Upstreams = c.Upstreams
	if diff := cmp.Diff(want, c, same...); diff != "" {
		t.Errorf("a silent file differs from Default (-want +got)\n%s", diff)
	}
	if len(c.Hash) != 64 {
		t.Errorf("hash %q", c.Hash)
	}
}

func TestLoadMakesFileNamesAbsolute(t *testing.T) {
	c, err := Load("testdata/good/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := filepath.Abs("testdata/good")
	if want := filepath.Join(dir, "tls.crt"); c.TLS.Cert != want {
		t.Errorf("cert %q, want %q", c.TLS.Cert, want)
	}
	if c.TLS.Key != "/etc/tls.key" {
		t.Errorf("an absolute name became %q", c.TLS.Key)
	}
	if f := c.Ranges.Feeds[0].File; f != "" {
		t.Errorf("an unset name became %q", f)
	}
}

func TestLoadMissingFile(t *testing.T) {
	_, err := Load("testdata/none.yaml")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "../../examples/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			// A large file is slow, and what its parts do shows in small ones; TestPrintRoundTrip has all of it.
			if len(data) <= 4<<10 {
				f.Add(data)
			}
		}
	}
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("upstreams: &a\n- {<<: *a}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz", data)
		if err == nil {
			roundTrip(t, c)
			return
		}
		var faults *Errors
		if !errors.As(err, &faults) || len(faults.List) == 0 {
			t.Fatalf("error %v has no list", err)
		}
		lines := 1 + strings.Count(string(data), "\n")
		for _, e := range faults.List {
			if e.Line < 1 || e.Line > lines || e.Column < 1 || e.Message == "" {
				t.Errorf("fault without a place: %#v", e)
			}
		}
	})
}
