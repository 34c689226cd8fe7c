package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/audit"
	"ociproxy/internal/cli"
	"ociproxy/internal/cli/clitest"
	"ociproxy/internal/promote"
	"ociproxy/internal/promote/prove"
)

func emptyEnv(string) string { return "" }

// TestCommands checks what both programs promise: one scheme of exit codes, and the same meaning for the same flag.
func TestCommands(t *testing.T) { clitest.Root(t, (&app{env: emptyEnv}).root()) }

// TestManual: every command has its manual page, and shells accept the completions.
func TestManual(t *testing.T) { clitest.Manual(t, (&app{env: emptyEnv}).root) }

// TestExitCodes checks that the same kind of failure gives the same exit code in both programs.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"
	tree := write("plain.yaml", `registries: [{name: 127.0.0.1:1/stage, src: true}, {name: 127.0.0.1:1/prod}]
images: [{name: app, dmap: {"`+digest+`": ["1"]}}]
`)
	plan := write("plan.json", "")
	file, err := os.Create(plan)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(promote.NewWriter(file, promote.Header{}).Close(&promote.Summary{}), file.Close(),
		os.Mkdir(filepath.Join(dir, "bucket"), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	store := []string{"--store", "s3"}
	clitest.ExitCodes(t, run, (&app{env: emptyEnv}).root(), clitest.Program{
		Name: program,
		Config: `version: 1
location: aws/us-east-1
ranges: {cache: "", feeds: [{provider: aws}]}
upstreams: [{name: main, url: "http://127.0.0.1:1", insecure: true, place: aws/us-east-1, canonical: true}]
stores:
  - name: s3
    place: aws/us-east-1
    url: "http://127.0.0.1:1/blobs/{digest}"
    insecure: true
    serves: [aws]
    bucket: "file://` + filepath.Join(dir, "bucket") + `"
    inventory: {url: "http://127.0.0.1:1/inventory/"}
mirror: {source: main, repositories: {list: [app]}}
deny: {digests: ["` + digest + `"]}
`,
		Commands: map[string][]string{
			"mirror": nil, "audit": nil, "purge": {"--dry-run", digest},
			"inventory ls": store, "inventory diff": append(store, store...), "inventory export": store,
			"inventory verify": store, "inventory rebuild": store,
			"store ls": nil, "store admit": {"s3"}, "store create": {"s3", "--dry-run"}, "store show": {"s3"}, "store set": {"s3", "--state", "off"},
			"console":      {"--prometheus", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"},
			"endpoints ls": nil, "endpoints policy": nil,
			"infra export": nil, "infra check": nil, "infra import": {"--outputs", filepath.Join(dir, "outputs.json")},
			"region add": {"aws/eu-south-2"}, "region remove": {"s3"},
			"plan":         {"--stored", "1TB", "--demand", write("demand.csv", "place,TB/month\naws/us-east-1,1\n")},
			"probe":        {"127.0.0.1:1"},
			"report":       {"--logs", filepath.Join(dir, "none.log")},
			"report focus": {"--logs", filepath.Join(dir, "none.log")}, "report rollup": {"--logs", filepath.Join(dir, "none.log"), "--into", filepath.Join(dir, "rollup")},
			"ranges fetch": {filepath.Join(dir, "seed")},
			"promote plan": {tree}, "promote apply": {plan}, "promote run": {tree}, "promote verify": {tree},
		},
	})
}

// The sums in the help must match the sums in the code.
func TestSums(t *testing.T) {
	root := (&app{env: emptyEnv}).root()
	const auditBits = audit.CodeUnknown | audit.CodeUnexpected | audit.CodeMissing | audit.CodeShort | audit.CodeCorrupt | audit.CodeUnreadable
	var proveBits, planBits int
	for _, c := range prove.Classes() {
		proveBits |= c.Bit()
	}
	for _, c := range promote.Classes {
		planBits |= c.Bit()
	}
	const held, rest = 128, 32 | 64
	for path, want := range map[string]int{
		"audit": auditBits, "promote verify": proveBits, "promote run": planBits | held | rest, "promote apply": planBits | held | rest,
		"promote plan": promote.TagMoved.Bit() | promote.SourceGone.Bit() | promote.Registry.Bit() | held | rest, // a plan signs and stores nothing
	} {
		cmd, _, err := root.Find(strings.Fields(path))
		if err != nil {
			t.Fatal(err)
		}
		told, _ := cli.ExitsOf(cmd)
		if told.Sum == nil {
			t.Errorf("%s tells of no sums", path)
			continue
		}
		got := 0
		for _, e := range slices.Concat(told.Sum.Classes, told.Sum.Ends) {
			got |= e.Code
		}
		if got != want {
			t.Errorf("the help of %s tells of %b, the code adds up %b", path, got, want)
		}
	}
}
