package docs_test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/place"
	"ociproxy/internal/ranges"
	"ociproxy/internal/route"
	"ociproxy/internal/snapshot"
)

// TestClientsGoWhereCommentsSay guards that the README's own config never used its bucket. In every whole config of the
// project a comment of the form
//
//	# clients of aws/eu-west-1, 10.20.1.1, unknown places go to s3-euc1: why
//
// says where a layer comes from that everybody holds; "or" between names says that some clients go to each. Each is held
// against the routing. A config with stores has at least one, and no store in it is no client's first choice.
func TestClientsGoWhereCommentsSay(t *testing.T) {
	found := 0
	for name, text := range wholeConfigs(t) {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Parse(name, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			cfg.Route.Latency = "" // no file of it here
			snap, err := snapshot.Of(cfg)
			if err != nil {
				t.Fatal(err)
			}
			claims := claims(t, text)
			found += len(claims)
			if len(cfg.Stores) > 0 && len(claims) == 0 {
				t.Error("no comment says where clients go")
			}
			for _, c := range claims {
				for _, who := range c.who {
					for _, family := range c.families {
						if diff := cmp.Diff(c.to, answers(t, cfg, snap, who, family)); diff != "" {
							t.Errorf("%s clients of %s (-comment +routing)\n%s", family, who, diff)
						}
					}
				}
			}
			for _, idle := range snap.Idle(route.Audience{Cloud: cfg.Ranges.Recognises, Coordinates: cfg.Ranges.GeoIP.City != ""}) {
				t.Errorf("%s is no client's first choice: %s", snap.Candidates[idle.Candidate].Name, idle.Why)
			}
		})
	}
	if found < 25 {
		t.Errorf("only %d comments found: is the pattern still right?", found)
	}
}

// wholeConfigs are the configs in examples/, deploy/ and on all pages, by where they stand.
func wholeConfigs(t *testing.T) map[string]string {
	all := map[string]string{}
	var files []string
	for _, dir := range []string{"examples", "deploy", "deploy/*"} {
		more, err := filepath.Glob(filepath.Join(root, dir, "*.y*ml"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	for i, f := range files {
		files[i], _ = filepath.Rel(root, f)
	}
	begin := regexp.MustCompile(`(?m)^ *version: 1$`)
	for _, name := range append(files, pages(t)...) {
		text := read(t, name)
		blocks := []string{text}
		if filepath.Ext(name) == ".md" {
			blocks = nil
			for _, m := range regexp.MustCompile("(?ms)^ *```yaml\n(.*?)^ *```$").FindAllStringSubmatch(text, -1) {
				blocks = append(blocks, m[1])
			}
		}
		for _, block := range blocks {
			if begin.MatchString(block) && !strings.Contains(block, "\ngates:\n") { // a file of gates has versions too
				all[fmt.Sprintf("%s-%d", name, len(all))] = dedented(block, begin.FindString(block))
			}
		}
	}
	if len(all) < 6 {
		t.Errorf("only %d configs found: is the pattern still right?", len(all))
	}
	return all
}

// dedented takes a config out of a file that carries it indented, such as a ConfigMap; version is its first line there.
func dedented(block, version string) string {
	indent := version[:strings.Index(version, "v")]
	if indent == "" {
		return block
	}
	var out strings.Builder
	for line := range strings.Lines(block[strings.Index(block, version):]) {
		rest, inside := strings.CutPrefix(line, indent)
		if !inside && strings.TrimSpace(line) != "" {
			break
		}
		out.WriteString(rest)
	}
	return out.String()
}

// claim is one such comment.
type claim struct {
	families []string
	who, to  []string
}

var (
	claimed = regexp.MustCompile(`# *(?:Layers: )?(?:(IPv[46]) )?clients of (.+?) go to ([a-z0-9.-]+(?: or [a-z0-9.-]+)*)(?:: .*)?$`)
	hint    = regexp.MustCompile(`#.*\bclients of\b`)
)

func claims(t *testing.T, text string) []claim {
	var all []claim
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		m := claimed.FindStringSubmatch(line)
		if m == nil {
			if hint.MatchString(line) {
				t.Errorf("%q says nothing that can be tested", line)
			}
			continue
		}
		c := claim{families: []string{"IPv4", "IPv6"}, who: strings.Split(m[2], ", "), to: strings.Split(m[3], " or ")}
		if m[1] != "" {
			c.families = []string{m[1]}
		}
		slices.Sort(c.to)
		all = append(all, c)
	}
	return all
}

// answers are the names that clients of who get, from some hundred networks.
func answers(t *testing.T, cfg *config.Config, snap *route.Snapshot, who, family string) []string {
	var clients []route.Client
	if addr, err := netip.ParseAddr(who); err == nil {
		located, err := ranges.New(config.Ranges{Overrides: cfg.Ranges.Overrides}, cfg.Map(), ranges.Options{})
		if err != nil {
			t.Fatal(err)
		}
		at := located.Locate(addr)
		clients = append(clients, route.Client{Addr: addr, Place: at.Place, Spot: at.Spot, HasSpot: at.HasSpot})
	} else {
		cloud, region, _ := strings.Cut(who, "/")
		if who == "unknown places" {
			cloud = ""
		} else if !cfg.Map().HasCloud(cloud) {
			t.Fatalf("%q is no place", who)
		}
		for i := range 300 {
			c := route.Client{Place: place.Place{Cloud: cloud, Region: region}, Addr: netip.AddrFrom4([4]byte{198, 18, byte(i), byte(i >> 8)})}
			if family == "IPv6" {
				c.Addr = netip.AddrFrom16([16]byte{0x20, 0x01, 0, 2, byte(i), byte(i >> 8)})
			}
			clients = append(clients, c)
		}
	}
	req, err := oci.Parse("/v2/a/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range clients {
		d := route.Decide(&req, &clients[i], snap, &route.State{Usable: snap.All(), Holds: snap.All()})
		names = append(names, snap.Candidates[d.Candidate].Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestReadmeConfigIsTheExample: the config that the README shows is the one that it tells people to run.
func TestReadmeConfigIsTheExample(t *testing.T) {
	example := read(t, "examples/minimal.yaml")
	_, body, _ := strings.Cut(example, "\n\n")
	if !strings.Contains(read(t, "README.md"), "```yaml\n"+body+"```\n") {
		t.Errorf("the README does not show examples/minimal.yaml:\n%s", body)
	}
}
