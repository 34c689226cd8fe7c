package test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
)

// arrows lists the imports that each of our packages may have. To add one is a decision: it must go downward in the
// list of docs/architecture.md, and must not give a package knowledge that the list forbids. Remove an import that is
// no longer used.
const arrows = `
cmd/oci-proxy: atomicfile check cli cli/manual config docs edge key lastgood outbound proxy publication publication/follow
	ranges route setup systemd usable
cmd/oci-proxyctl: accesslog admission admit atomicfile audit bill check check/judge cli cli/manual command config
	config/edit console console/routing console/scraped console/view delivered docs endpoints endpoints/hostlist envelope fleet focus fronts gate infra inventory
	inventory/inspect inventory/write key lease ledger listener logsource manifest mirror oci outbound override
	place plan plan/show plan/solve price probe probe/against probe/classes probe/monitor probe/show probeid
	prometheus promote promote/apply promote/prove promote/sign provision proxy publication publication/publish purge
	ranges region registry replay report rollout rollup rollup/gather rollup/refresh route set shard snapshot store
	store/address targets traffic usable usage wait walk
cmd/oci-proxy-demo: cli cli/manual demo
cmd/oci-doctor: cli cli/manual doctor outbound
report: bill cli config focus page place price route traffic usage
fleet: place prometheus traffic
focus: bill cli config parquetfile place price store/address traffic
demo: atomicfile cli inventory key oci outbound proxy route wait
admission: atomicfile check check/judge command config inventory inventory/inspect oci outbound proxy store
	store/address wait
proxy: admit atomicfile clientip config console console/record console/routing console/view edge endpoints endpoints/hostlist existence health inventory listener
	metrics oci outbound override probeid publication publication/follow ranges reach route set snapshot wait
console/scraped: console/record console/routing console/view prometheus
console/routing: console/view place route
console: console/page console/view wait
console/record: console/view price
console/page: cli console/view
console/view:
usable: clientip config endpoints route snapshot
replay: accesslog config oci place price ranges route snapshot
region: config place store/address
snapshot: config place route
override: config oci publication
plan/show: cli config page place plan price region store/address
plan: bill config oci place plan/solve price region route set snapshot traffic
rollout: envelope gate lease publication publication/publish store strictjson wait
gate: command config prometheus
prometheus: outbound
setup: check cli clientip config place store/address
probe/classes: config place probe proxy
probe/show: check/judge cli probe probe/against
probe/monitor: check/judge loop probe wait
probe/against: check/judge oci outbound probe strictjson
probe: check/judge oci outbound strictjson wait
doctor: check/judge cli endpoints oci outbound
rollup/refresh: accesslog atomicfile logsource rollup rollup/gather shard store traffic usage
rollup/gather: accesslog logsource rollup traffic usage
rollup: atomicfile parquetfile place store traffic
logsource: accesslog store store/address traffic
mirror: config inventory ledger loop oci place price registry set shard store targets transfer walk
audit: atomicfile inventory oci store walk
purge: oci store wait
promote/prove: loop manifest oci promote promote/sign registry set walk
promote/apply: atomicfile config inventory/write lease ledger manifest oci promote promote/sign registry set
	store targets transfer wait walk
promote/sign: oci registry
promote: command manifest oci outbound registry walk
check: check/judge cli config inventory oci outbound strictjson
check/judge: cli oci outbound strictjson
inventory/inspect: atomicfile fetch inventory oci outbound pace
provision: config store store/address targets
targets: config inventory ledger oci outbound set store transfer wait
walk: config manifest oci registry transfer
transfer: oci pace set store wait
ledger: atomicfile inventory inventory/write oci set store wait
lease: store wait
publication/publish: envelope publication store wait
registry: credential oci outbound pace strictjson wait
store: atomicfile command credential oci outbound pace store/address wait
manifest: oci
fronts: wait
delivered: accesslog traffic usage
usage: accesslog config oci place ranges store/address traffic
bill: config csvtable place price store/address traffic
accesslog:
plan/solve:
credential: command outbound
command:
health: oci outbound set wait
publication/follow: atomicfile fetch lastgood outbound publication wait
existence: oci outbound set
inventory/write: atomicfile inventory oci set wait
inventory: atomicfile fetch oci outbound pace set strictjson wait
ranges: atomicfile config fetch place strictjson wait
reach: oci
route: oci place set
edge: config endpoints oci store/address
endpoints/hostlist: config endpoints store/address
config/edit: atomicfile config
infra: config place store/address
probeid: clientip key
config/gen: config
config: clientip endpoints key oci place price
clientip:
listener: wait
traffic: place
place: csvtable price
metrics: oci price
systemd:
lastgood: atomicfile
docs:
oci:
fetch: atomicfile outbound
loop: admit wait
set:
cli/manual: atomicfile
cli:
publication: envelope key strictjson
envelope: key strictjson
key: atomicfile
endpoints: strictjson
store/address:
outbound:
price:
atomicfile:
admit:
pace:
page:
strictjson:
parquetfile:
csvtable:
shard:
wait:
`

// forTests are the packages that only tests and benchmarks may import.
var forTests = []string{
	"internal/accesslog/accesslogtest", "internal/cli/clitest", "internal/inventory/inventorytest", "internal/parquetfile/parquetfiletest",
	"internal/publication/publicationtest", "internal/registry/registrytest", "internal/plan/solve/solvetest", "internal/rollup/rolluptest", "internal/store/storetest", "internal/thorough",
}

// outside lists packages of others that only some of our packages may import. Our own imports alone cannot show what a
// package knows about the outside world.
var outside = []struct{ imported, by string }{
	{`net/http`, `^internal/(admission|admit|audit|check|check/judge|clientip|console|console/page|credential|demo|doctor|existence|fetch|health|inventory|` +
		`inventory/inspect|listener|loop|oci|outbound|pace|probe|probe/against|promote|prometheus|promote/apply|proxy|publication/follow|provision|ranges|registry|store|targets)$|^cmd/oci-proxyctl$`},
	{`os/exec`, `^internal/(command|credential|gate|plan/solve/solvetest|promote)$`},
	{`github\.com/(aws|Azure)/.*|cloud\.google\.com/.*|google\.golang\.org/.*`, `^internal/(provision|store)$`},
	{`github\.com/(google/go-containerregistry|docker)/.*`, `^(internal/(credential|promote|registry)|cmd/oci-proxyctl)$`},
	{`github\.com/sigstore/.*`, `^internal/promote/sign$`},
	{`github\.com/prometheus/.*`, `^(internal/(loop|metrics|mirror|probe/monitor|promote/prove|proxy)|cmd/oci-proxyctl)$`},
	{`github\.com/spf13/.*`, `^(internal/cli(/manual)?|cmd/.*)$`},
	{`github\.com/miekg/.*`, `^internal/fronts$`},
	{`github\.com/coreos/.*`, `^internal/systemd$`},
	{`go\.yaml\.in/.*`, `^internal/(config(/edit)?|manifest)$`},
	{`github\.com/parquet-go/.*`, `^internal/(focus|parquetfile(/parquetfiletest)?|rollup)$`},
}

// TestArrows checks that docs/architecture.md lists every package, that imports go downward in it, and that there are
// no imports except those of arrows.
func TestArrows(t *testing.T) {
	listed := floors(t).all()
	allowed := map[string][]string{}
	for line := range strings.Lines(strings.ReplaceAll(strings.TrimSpace(arrows), "\n\t", " ")) {
		name, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		allowed[name] = strings.Fields(imports)
	}
	found := imports(t)
	var names []string
	for name := range found {
		if !slices.Contains(forTests, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff(slices.Sorted(slices.Values(listed)), names); diff != "" {
		t.Errorf("packages of docs/architecture.md and those there are (-listed +are):\n%s", diff)
	}
	for _, name := range names {
		var ours []string
		for _, path := range found[name] {
			path, isOurs := strings.CutPrefix(path, "ociproxy/")
			if !isOurs {
				for _, rule := range outside {
					if matches(rule.imported, path) && !matches(rule.by, name) {
						t.Errorf("%s must not import %s", name, path)
					}
				}
				continue
			}
			if slices.Contains(forTests, path) {
				t.Errorf("%s imports %s, which is for tests", name, path)
			}
			if slices.Index(listed, path) <= slices.Index(listed, name) {
				t.Errorf("%s imports %s, which is above it in docs/architecture.md", name, path)
			}
			ours = append(ours, strings.TrimPrefix(path, "internal/"))
		}
		slices.Sort(ours)
		if diff := cmp.Diff(allowed[strings.TrimPrefix(name, "internal/")], ours, cmpEmpty); diff != "" {
			t.Errorf("imports of %s (-allowed +are):\n%s", name, diff)
		}
	}
}

// TestWalls checks that the public server does not link, directly or indirectly, a package that writes or holds
// credentials.
func TestWalls(t *testing.T) {
	walls := append(floors(t)["The operators' tool"], "internal/inventory/write", "internal/demo", "internal/admission")
	walls = slices.DeleteFunc(walls, func(name string) bool { return strings.HasPrefix(name, "internal/check") })
	if len(walls) < 15 {
		t.Fatalf("only %q: is the heading still there?", walls)
	}
	for name, by := range linked(t, "cmd/oci-proxy") {
		if slices.Contains(walls, name) {
			t.Errorf("oci-proxy must not link %s; %s imports it", name, by)
		}
	}
}

// ofDoctor are all our packages that the tool for users may link. It is small, and people run it who do not know us.
var ofDoctor = []string{
	"internal/doctor", "internal/check/judge", "internal/cli", "internal/cli/manual", "internal/atomicfile", "internal/oci",
	"internal/endpoints", "internal/outbound", "internal/strictjson",
}

// TestDoctorIsSmall checks that the tool for users links nothing of servers and stores.
func TestDoctorIsSmall(t *testing.T) {
	for name, by := range linked(t, "cmd/oci-doctor") {
		if !slices.Contains(ofDoctor, name) {
			t.Errorf("oci-doctor must not link %s; %s imports it", name, by)
		}
	}
}

// linked returns our packages that a program links, with a package that imports each.
func linked(t *testing.T, program string) map[string]string {
	t.Helper()
	found, by := imports(t), map[string]string{}
	for next := []string{program}; len(next) > 0; next = next[1:] {
		for _, path := range found[next[0]] {
			name, ours := strings.CutPrefix(path, "ociproxy/")
			if _, seen := by[name]; ours && !seen {
				by[name] = next[0]
				next = append(next, name)
			}
		}
	}
	return by
}

var cmpEmpty = cmp.Transformer("empty", func(list []string) string { return strings.Join(list, "\n") })

func matches(pattern, name string) bool {
	return regexp.MustCompile(`^(` + pattern + `)$`).MatchString(name)
}

// floorList is the list of packages in docs/architecture.md, by heading.
type floorList map[string][]string

func (f floorList) all() []string { return f["all"] }

func floors(t *testing.T) floorList {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts.Root(), "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	list, title := floorList{}, ""
	for line := range strings.Lines(string(data)) {
		if after, ok := strings.CutPrefix(line, "### "); ok {
			title = strings.TrimSpace(after)
		}
		if cells := strings.Split(line, "`"); len(cells) > 2 && cells[0] == "- " && strings.HasPrefix(cells[2], " knows ") {
			list[title] = append(list[title], cells[1])
			list["all"] = append(list["all"], cells[1])
		}
	}
	return list
}

// imports returns what each package of the programs imports, without its tests. It reads the files itself and does not
// run `go list`, so that `go test` knows when its cached result no longer holds.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	list := map[string][]string{}
	for _, top := range []string{"cmd", "internal", "docs"} {
		err := filepath.WalkDir(filepath.Join(parts.Root(), top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(parts.Root(), filepath.Dir(path))
			for _, spec := range file.Imports {
				list[name] = append(list[name], strings.Trim(spec.Path.Value, `"`))
			}
			if list[name] == nil {
				list[name] = []string{}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, paths := range list {
		slices.Sort(paths)
		list[name] = slices.Compact(paths)
	}
	return list
}
