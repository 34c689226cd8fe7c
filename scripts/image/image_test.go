package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// writeProgram writes the header of a program for Linux. That is enough to distinguish programs.
func writeProgram(t *testing.T, file string, machine elf.Machine, dynamic bool) {
	t.Helper()
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phentsize: 56, Shentsize: 64,
	}
	var b bytes.Buffer
	prog := elf.Prog64{Type: uint32(elf.PT_LOAD)}
	if dynamic {
		prog.Type = uint32(elf.PT_INTERP)
	}
	h.Phoff, h.Phnum = 64, 1
	for _, part := range []any{h, prog} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	write(t, file, b.String())
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// random returns text that does not compress.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return string(b)
}

const gcpFeed = `{"prefixes":[{"ipv4Prefix":"34.1.208.0/20","scope":"africa-south1"}]}`

// world makes binaries and feeds, and options that make images of them.
func world(t *testing.T) (dir string, opt options) {
	t.Helper()
	dir = t.TempDir()
	for platform, machine := range machines {
		for name := range known {
			writeProgram(t, filepath.Join(dir, platform, name), machine, false)
		}
	}
	write(t, filepath.Join(dir, "LICENSE"), "free")
	write(t, filepath.Join(dir, "seed", "gcp.json"), gcpFeed)
	return dir, options{
		platforms: "linux/amd64 linux/arm64", binaries: dir, license: filepath.Join(dir, "LICENSE"), seed: filepath.Join(dir, "seed"),
		version: "v1", at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

// build refuses a program that would not run in its image, and input that is missing or damaged.
func TestRefused(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(dir string, opt *options)
		says  string
	}{
		{"absent", func(dir string, _ *options) { _ = os.Remove(filepath.Join(dir, "linux/arm64/oci-proxy")) }, "make image builds it"},
		{"other machine", func(dir string, _ *options) {
			writeProgram(t, filepath.Join(dir, "linux/arm64/oci-proxy"), elf.EM_X86_64, false)
		}, "is for EM_X86_64, not for linux/arm64"},
		{"dynamic", func(dir string, _ *options) {
			writeProgram(t, filepath.Join(dir, "linux/amd64/oci-proxy"), elf.EM_X86_64, true)
		}, "build it with CGO_ENABLED=0"},
		{"no program", func(dir string, _ *options) { write(t, filepath.Join(dir, "linux/amd64/oci-proxy"), "#!/bin/sh\n") }, "is no program for Linux"},
		{"platform", func(_ string, opt *options) { opt.platforms = "linux/amd64 plan9/386" }, `platform "plan9/386"`},
		{"no platform", func(_ string, opt *options) { opt.platforms = " " }, "no platforms"},
		{"no licence", func(_ string, opt *options) { opt.license = "gone" }, "gone"},
		{"which feeds", func(_ string, opt *options) { opt.seed = "" }, "-seed none"},
		{"no feeds", func(dir string, opt *options) { opt.seed = dir }, "SEED=none"},
		{"no directory", func(_ string, opt *options) { opt.seed = "gone" }, "SEED=none"},
		{"bad feed", func(dir string, _ *options) { write(t, filepath.Join(dir, "seed/aws.json"), "{") }, "feed aws: read "},
		{"bad record", func(dir string, _ *options) { write(t, filepath.Join(dir, "seed/_fetched.json"), "{") }, "_fetched.json"},
		{"too big", func(dir string, _ *options) {
			was := known["oci-proxy"]
			t.Cleanup(func() { known["oci-proxy"] = was })
			small := was
			small.limit = 1 << 20
			known["oci-proxy"] = small
			text, err := os.ReadFile(filepath.Join(dir, "linux/amd64/oci-proxy"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "linux/amd64/oci-proxy"), string(text)+random(2<<20))
		}, "more than 1.0 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, opt := world(t)
			tt.spoil(dir, &opt)
			_, err := opt.build([]string{"oci-proxy"})
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
		})
	}
	_, opt := world(t)
	if _, err := opt.build([]string{"nonsense"}); err == nil || !strings.Contains(err.Error(), `program "nonsense"`) {
		t.Error(err)
	}
}

// Only the feeds that the server knows go into the image, with their dates, and nothing else of the directory. An image
// without feeds does not say that it has some.
func TestFeeds(t *testing.T) {
	dir, opt := world(t)
	at := time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC)
	write(t, filepath.Join(dir, "seed", "linode.csv"), "192.0.3.0/24,US,US-NJ,Newark,\n")
	write(t, filepath.Join(dir, "seed", "secret.txt"), "secret")
	if err := os.Chtimes(filepath.Join(dir, "seed", "gcp.json"), at, at); err != nil {
		t.Fatal(err)
	}
	seed, err := readSeed(opt.seed, opt.at)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range seed.files {
		names = append(names, f.name)
	}
	if diff := cmp.Diff([]string{seedDir + "/gcp.json", seedDir + "/linode.csv"}, names); diff != "" || !seed.files[0].at.Equal(at) {
		t.Errorf("%v %s", seed.files[0].at, diff)
	}
	if seed.labels["oci-proxy.feeds.fetched"] != "2025-05-06T07:08:09Z" || seed.labels["oci-proxy.feed.gcp"] != "2025-05-06T07:08:09Z" || len(seed.labels) != 3 {
		t.Errorf("%v", seed.labels)
	}
	opt.seed = noSeed
	all, err := opt.build([]string{"oci-proxy"})
	if err != nil {
		t.Fatal(err)
	}
	var config oci.Image
	if err := json.Unmarshal(all[0].images[0].config.data, &config); err != nil {
		t.Fatal(err)
	}
	if text := string(all[0].images[0].config.data); strings.Contains(text, "OCI_PROXY_SEED") || strings.Contains(text, "feeds.fetched") || len(config.RootFS.DiffIDs) != 2 {
		t.Error(text)
	}
}

func TestTargets(t *testing.T) {
	three := []string{"oci-proxy", "oci-proxyctl", "oci-proxy-demo"}
	tests := []struct {
		image    string
		programs []string
		want     []string // or, for an image name that is refused, the error
	}{
		{"", three, nil},
		{"reg.example/oci-proxy:v1", three, []string{"reg.example/oci-proxy:v1", "reg.example/oci-proxyctl:v1", "reg.example/oci-proxy-demo:v1"}},
		{"127.0.0.1:5000/a/b/oci-proxy", three[1:], []string{"127.0.0.1:5000/a/b/oci-proxyctl:latest", "127.0.0.1:5000/a/b/oci-proxy-demo:latest"}},
		{"reg.example/any:v1", three[2:], []string{"reg.example/any:v1"}},
		{"reg.example/any:v1", three, []string{"several images need several names"}},
		{"reg.example/UPPER:v1", three, []string{"repository can only contain"}},
		{"reg.example/oci-proxy@sha256:00", three, []string{"image "}},
	}
	for _, tt := range tests {
		all, err := targets(tt.image, tt.programs)
		if err != nil {
			if len(tt.want) != 1 || !strings.Contains(err.Error(), tt.want[0]) {
				t.Errorf("%s: %v", tt.image, err)
			}
			continue
		}
		var got []string
		for _, tag := range all {
			got = append(got, tag.Name())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.image, diff)
		}
	}
}

// A layout replaces the one that was there. None of the old blobs stays.
func TestLayoutIsReplaced(t *testing.T) {
	dir, opt := world(t)
	out := filepath.Join(dir, "out", "oci-proxy")
	var counts []int
	for _, version := range []string{"v1", "v2"} {
		opt.version = version
		all, err := opt.build([]string{"oci-proxy"})
		if err != nil {
			t.Fatal(err)
		}
		if err := writeLayout(all[0], out, version); err != nil {
			t.Fatal(err)
		}
		blobs, err := os.ReadDir(filepath.Join(out, "blobs", "sha256"))
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, len(blobs))
		text, err := os.ReadFile(filepath.Join(out, "index.json"))
		if err != nil || !strings.Contains(string(text), all[0].index.Digest.String()) || !strings.Contains(string(text), `"`+version+`"`) {
			t.Errorf("%s: %v %s", version, err, text)
		}
	}
	// The index; two manifests and two configs; the layers of both platforms, of which two are the same.
	if diff := cmp.Diff([]int{9, 9}, counts); diff != "" {
		t.Error(diff)
	}
}
