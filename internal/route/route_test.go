package route

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/oci"
	"ociproxy/internal/place"
	"ociproxy/internal/set"
)

const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func parse(t testing.TB, path string) *oci.Request {
	t.Helper()
	req, err := oci.Parse(path, "")
	if err != nil {
		t.Fatal(err)
	}
	return &req
}

func at(t testing.TB, s string) place.Place {
	t.Helper()
	if !strings.Contains(s, "/") {
		return place.Place{Cloud: s}
	}
	p, err := place.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func store(t testing.TB, name, where string, serves ...string) Candidate {
	c := Candidate{
		Name: name, Kind: Store, URL: "https://" + name + ".example/{digest}",
		Active: true, Rollout: 100, IPv4: true, IPv6: true,
	}
	if where == "cloudfront" {
		c.CDN = where
	} else {
		c.Place = at(t, where)
	}
	for _, s := range serves {
		switch s {
		case "all":
			c.Serves.All = true
		case "internet":
			c.Serves.Internet = true
		default:
			c.Serves.Clouds = append(c.Serves.Clouds, s)
		}
	}
	return c
}

func upstream(t testing.TB, name, where string) Candidate {
	return Candidate{
		Name: name, Kind: Upstream, Place: at(t, where), URL: "https://" + name + ".example", Prefix: "p/i",
		Serves: Serves{All: true}, Active: true, Rollout: 100, IPv4: true, IPv6: true,
	}
}

func snapshot(t testing.TB, opt Options) *Snapshot {
	t.Helper()
	opt.Map = place.Embedded()
	if !slices.ContainsFunc(opt.Candidates, func(c Candidate) bool { return c.Canonical }) {
		u := upstream(t, "canonical", "gcp/us-central1")
		u.Canonical = true
		opt.Candidates = append(opt.Candidates, u)
	}
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func client(t testing.TB, where string) *Client {
	c := &Client{Addr: netip.MustParseAddr("192.0.2.7")}
	if where != "" {
		c.Place = at(t, where)
	}
	return c
}

// everything is the state in which all candidates are healthy and hold what is asked for.
func everything(s *Snapshot) *State { return &State{Usable: s.All(), Holds: s.All()} }

func (s *Snapshot) name(d Decision) string {
	if d.Candidate == NoCandidate {
		return ""
	}
	return s.Candidates[d.Candidate].Name
}

// The cases that the formula of docs/decisions/0001-routing-is-one-formula.md is for, with the scores they turn on.
func TestWhereTheFormulaSends(t *testing.T) {
	tests := []struct {
		name   string
		stores []string // name=place:serves
		client string
		weight float64
		want   string
	}{
		{"UAE beats Frankfurt for Bahrain", []string{"uae=aws/me-central-1:aws", "fra=aws/eu-central-1:aws"}, "aws/me-south-1", 5, "uae"},
		{"money beats 75 ms at weight 20", []string{"uae=aws/me-central-1:aws", "fra=aws/eu-central-1:aws"}, "aws/me-south-1", 20, "fra"},
		{"Virginia beats Cape Town for São Paulo", []string{"va=aws/us-east-1:aws", "cpt=aws/af-south-1:aws"}, "aws/sa-east-1", 5, "va"},
		{"Zurich beats UAE for Israel", []string{"zrh=aws/eu-central-2:aws", "uae=aws/me-central-1:aws"}, "aws/il-central-1", 5, "zrh"},
		{"Madrid for Cape Town", []string{"mad=aws/eu-south-2:aws", "gru=aws/sa-east-1:aws", "tlv=aws/il-central-1:aws"}, "aws/af-south-1", 5, "mad"},
		{"a store's own region", []string{"va=aws/us-east-1:aws", "fra=aws/eu-central-1:aws"}, "aws/eu-central-1", 5, "fra"},
		{"GCP client stays with the upstream", []string{"va=aws/us-east-1:aws", "cdn=cloudfront:internet"}, "gcp/us-central1", 5, "canonical"},
		{"a cloud nobody serves goes to the internet store", []string{"va=aws/us-east-1:aws", "cdn=cloudfront:internet"}, "azure/westeurope", 5, "cdn"},
		{"unknown client goes to the internet store", []string{"va=aws/us-east-1:aws", "cdn=cloudfront:internet"}, "", 5, "cdn"},
		{"AWS client of unknown region: cheapest in the cloud", []string{"va=aws/us-east-1:aws", "cdn=cloudfront:internet"}, "aws", 5, "va"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opt := Options{CostWeight: tt.weight}
			for _, d := range tt.stores {
				name, rest, _ := strings.Cut(d, "=")
				where, serves, _ := strings.Cut(rest, ":")
				opt.Candidates = append(opt.Candidates, store(t, name, where, serves))
			}
			s := snapshot(t, opt)
			c := client(t, tt.client)
			d := Decide(parse(t, "/v2/a/blobs/"+digest), c, s, everything(s))
			for _, r := range Explain(parse(t, "/v2/a/blobs/"+digest), c, s, everything(s), d) {
				t.Logf("%-10s rtt %6.1f ms, %5.2f ct/GB (%s), score %6.1f: %s",
					s.Candidates[r.Candidate].Name, r.RTT, r.Price.Cents, r.Price.Basis, r.Score, r.Verdict)
			}
			if got := s.name(d); got != tt.want {
				t.Errorf("sent to %s, want %s", got, tt.want)
			}
		})
	}
}

func TestUpstreamOfTheOwnRegion(t *testing.T) {
	us, eu := upstream(t, "us", "gcp/us-central1"), upstream(t, "eu", "gcp/europe-west1")
	us.Canonical = true
	s := snapshot(t, Options{CostWeight: 5, Candidates: []Candidate{us, eu, store(t, "va", "aws/us-east-1", "aws")}})
	d := Decide(parse(t, "/v2/a/manifests/"+digest), client(t, "gcp/europe-west1"), s, everything(s))
	if s.name(d) != "eu" || d.Reason != Nearest {
		t.Errorf("sent to %s (%s), want eu (nearest)", s.name(d), d.Reason)
	}
}

func TestChinaNeverPaysTheSameCloudPrice(t *testing.T) {
	s := snapshot(t, Options{CostWeight: 5, Candidates: []Candidate{store(t, "hk", "aws/ap-east-1", "aws")}})
	for _, r := range s.Ranking(client(t, "aws/cn-north-1")).All {
		if r.Price.Basis == place.BasisSameCloud || r.Price.Basis == place.BasisSamePlace {
			t.Errorf("%s: price basis %q", s.Candidates[r.Candidate].Name, r.Price.Basis)
		}
	}
}

func TestAMatrixReplacesTheEstimate(t *testing.T) {
	m := Matrix{{at(t, "aws/eu-west-1"), at(t, "aws/us-east-1")}: 3}
	s := snapshot(t, Options{Matrix: m, Candidates: []Candidate{store(t, "va", "aws/us-east-1", "aws"), store(t, "lon", "aws/eu-west-2", "aws")}})
	for _, where := range []string{"aws/eu-west-1"} {
		d := Decide(parse(t, "/v2/a/blobs/"+digest), client(t, where), s, everything(s))
		if s.name(d) != "va" {
			t.Errorf("sent to %s, want va", s.name(d))
		}
	}
}

// world of the state tests, best first for an AWS client in Ohio: ohio, va, cdn (aws too), us.
func stateWorld(t testing.TB, change func(*Options)) *Snapshot {
	us, eu := upstream(t, "us", "gcp/us-central1"), upstream(t, "eu", "gcp/europe-west1")
	us.Canonical = true
	opt := Options{CostWeight: 5, Candidates: []Candidate{
		store(t, "ohio", "aws/us-east-2", "aws"), store(t, "va", "aws/us-east-1", "aws"), store(t, "cdn", "cloudfront", "internet"), us, eu,
	}}
	if change != nil {
		change(&opt)
	}
	return snapshot(t, opt)
}

const (
	ohio = iota
	va
	cdn
	us
	eu
)

func TestStates(t *testing.T) {
	all := set.Of(ohio, va, cdn, us, eu)
	blob, manifest := "/v2/a/blobs/"+digest, "/v2/a/manifests/"+digest
	tests := []struct {
		name   string
		path   string
		client string
		st     State
		want   int
		reason Reason
		need   [MaxChecks]int
	}{
		{name: "nearest", path: blob, client: "aws/us-east-2", st: State{Usable: all, Holds: all}, want: ohio, reason: Nearest},
		{name: "absent in the nearest", path: blob, client: "aws/us-east-2", st: State{Usable: all, Holds: set.Of(va)}, want: va, reason: Absent},
		{name: "nearest is ill", path: blob, client: "aws/us-east-2", st: State{Usable: set.Of(va, us), Holds: all}, want: va, reason: Unhealthy},
		{name: "nobody near holds it", path: blob, client: "aws/us-east-2", st: State{Usable: all}, want: us, reason: Absent},
		{name: "all are ill", path: blob, client: "aws/us-east-2", st: State{Holds: all}, want: us, reason: LastResort},
		{name: "canonical is ill, a replica holds it", path: blob, client: "aws/us-east-2", st: State{Usable: set.Of(eu), Holds: set.Of(eu)}, want: eu, reason: Unhealthy},
		{name: "unknown: ask the two best", path: blob, client: "aws/us-east-2", st: State{Usable: all, Unknown: all}, want: NoCandidate, need: [2]int{ohio, va}},
		{name: "unknown, the second holds: ask the first", path: blob, client: "aws/us-east-2", st: State{Usable: all, Unknown: set.Of(ohio), Holds: set.Of(va)}, want: NoCandidate, need: [2]int{ohio, NoCandidate}},
		{name: "the first holds: ask nobody", path: blob, client: "aws/us-east-2", st: State{Usable: all, Unknown: set.Of(va, cdn, eu), Holds: set.Of(ohio)}, want: ohio, reason: Nearest},
		{name: "no usable answer", path: blob, client: "aws/us-east-2", st: State{Usable: all, Silent: set.Of(ohio), Holds: set.Of(va)}, want: va, reason: Unchecked},
		{name: "no time left", path: blob, client: "aws/us-east-2", st: State{Usable: all, Unknown: set.Of(ohio), Holds: set.Of(va), Final: true}, want: va, reason: Unchecked},
		{name: "canonical needs no check", path: manifest, client: "gcp/us-central1", st: State{Usable: all, Unknown: all}, want: us, reason: Nearest},
		{name: "a replica needs one", path: manifest, client: "gcp/europe-west1", st: State{Usable: all, Unknown: all}, want: NoCandidate, need: [2]int{eu, NoCandidate}},
		{name: "an incomplete replica", path: manifest, client: "gcp/europe-west1", st: State{Usable: all}, want: us, reason: Absent},
		{name: "stores hold no manifests", path: manifest, client: "aws/us-east-2", st: State{Usable: all, Holds: set.Of(ohio, va)}, want: us, reason: Nearest},
		{name: "referrers", path: "/v2/a/referrers/" + digest, client: "gcp/europe-west1", st: State{Usable: all, Holds: all}, want: us, reason: CanonicalOnly},
		{name: "fallback tag", path: "/v2/a/manifests/" + strings.Replace(digest, ":", "-", 1) + ".sig", client: "gcp/europe-west1", st: State{Usable: all, Holds: all}, want: us, reason: CanonicalOnly},
		{name: "sha512 in a store", path: "/v2/a/blobs/sha512:" + strings.Repeat("a", 128), client: "aws/us-east-2", st: State{Usable: all, Holds: all}, want: ohio, reason: Nearest},
		{name: "other algorithms only upstream", path: "/v2/a/blobs/blake3:" + strings.Repeat("a", 64), client: "aws/us-east-2", st: State{Usable: all, Holds: set.Of(ohio)}, want: us, reason: Nearest},
	}
	s := stateWorld(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := Decide(parse(t, tt.path), client(t, tt.client), s, &tt.st)
			if d.Candidate != tt.want {
				t.Fatalf("candidate %d (%s), want %d", d.Candidate, d.Reason, tt.want)
			}
			if tt.want == NoCandidate {
				if d.Action != Check || d.Need != tt.need {
					t.Errorf("need %v, want %v", d.Need, tt.need)
				}
				return
			}
			if d.Reason != tt.reason {
				t.Errorf("reason %s, want %s", d.Reason, tt.reason)
			}
		})
	}
}

func TestTagListsAreRelayedWithoutCheck(t *testing.T) {
	s := stateWorld(t, nil)
	d := Decide(parse(t, "/v2/a/tags/list"), client(t, "gcp/europe-west1"), s, &State{Usable: s.All(), Unknown: s.All()})
	if d.Action != Relay || d.Candidate != eu {
		t.Errorf("%+v, want a relay by eu", d)
	}
}

func TestFamilyPinRolloutStateAndDenial(t *testing.T) {
	blob := parse(t, "/v2/a/blobs/"+digest)
	ohioClient := client(t, "aws/us-east-2")
	tests := []struct {
		name   string
		change func(*Options)
		client *Client
		want   int
		reason Reason
	}{
		{"a v6 client is not sent to a v4 store", func(o *Options) { o.Candidates[ohio].IPv6 = false },
			&Client{Addr: netip.MustParseAddr("2001:db8::1"), Place: at(t, "aws/us-east-2")}, va, Unreachable},
		{"a pin by prefix", func(o *Options) {
			o.Pins = []Pin{{CIDR: netip.MustParsePrefix("192.0.2.0/24"), To: []string{"va"}}}
		}, ohioClient, va, Pinned},
		{"a pin by cloud overrides serves", func(o *Options) { o.Pins = []Pin{{Cloud: "aws", To: []string{"cdn"}}} }, ohioClient, cdn, Pinned},
		{"a pin of others", func(o *Options) {
			o.Pins = []Pin{{CIDR: netip.MustParsePrefix("198.51.100.0/24"), To: []string{"va"}}}
		}, ohioClient, ohio, Nearest},
		{"a rollout of nothing", func(o *Options) { o.Candidates[ohio].Rollout = 0 }, ohioClient, va, RollingOut},
		{"an inactive store", func(o *Options) { o.Candidates[ohio].Active = false }, ohioClient, va, Nearest},
		{"a denied repository", func(o *Options) { o.DenyRepositories = []string{"a"} }, ohioClient, NoCandidate, Denied},
		{"a denied digest", func(o *Options) { o.DenyDigests = []oci.Digest{blob.Digest} }, ohioClient, NoCandidate, Denied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := stateWorld(t, tt.change)
			d := Decide(blob, tt.client, s, everything(s))
			if d.Candidate != tt.want || d.Reason != tt.reason {
				t.Errorf("candidate %d (%s), want %d (%s)", d.Candidate, d.Reason, tt.want, tt.reason)
			}
		})
	}
}

func TestAPinToStoresSaysNothingAboutManifests(t *testing.T) {
	s := stateWorld(t, func(o *Options) { o.Pins = []Pin{{Cloud: "aws", To: []string{"va"}}} })
	d := Decide(parse(t, "/v2/a/manifests/x"), client(t, "aws/us-east-2"), s, everything(s))
	if d.Candidate != us || d.Reason != Nearest {
		t.Errorf("candidate %d (%s), want us (nearest)", d.Candidate, d.Reason)
	}
}

func TestRolloutIsAStableShare(t *testing.T) {
	s := stateWorld(t, func(o *Options) { o.Candidates[ohio].Rollout = 30 })
	req := parse(t, "/v2/a/blobs/"+digest)
	rng := rand.New(rand.NewPCG(1, 2))
	sent := 0
	const networks = 20_000
	for range networks {
		c := client(t, "aws/us-east-2")
		c.Addr = netip.AddrFrom4([4]byte{byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()), 1})
		d := Decide(req, c, s, everything(s))
		neighbour := *c
		neighbour.Addr = netip.AddrFrom4([4]byte{c.Addr.As4()[0], c.Addr.As4()[1], c.Addr.As4()[2], 200})
		if n := Decide(req, &neighbour, s, everything(s)); n.Candidate != d.Candidate {
			t.Fatalf("%s and %s go different ways", c.Addr, neighbour.Addr)
		}
		if d.Candidate == ohio {
			sent++
		}
	}
	if share := float64(sent) / networks; share < 0.28 || share > 0.32 {
		t.Errorf("%.3f of the networks, want 0.30", share)
	}
}

func TestAnUnknownClientBorrowsCoordinatesNotThePlace(t *testing.T) {
	s := snapshot(t, Options{CostWeight: 5, Location: at(t, "aws/eu-central-1"), Candidates: []Candidate{
		store(t, "fra", "aws/eu-central-1", "all"), store(t, "syd", "aws/ap-southeast-2", "all"),
	}})
	order := s.Ranking(client(t, "")).All
	if s.Candidates[order[0].Candidate].Name != "fra" {
		t.Errorf("first is %s, want fra", s.Candidates[order[0].Candidate].Name)
	}
	for _, e := range order {
		if e.Price.Basis == place.BasisSamePlace || e.Price.Basis == place.BasisSameCloud || e.RTT == place.SamePlaceRTT {
			t.Errorf("%s: %+v: a guessed place earned a price", s.Candidates[e.Candidate].Name, e)
		}
	}
}

func TestCoordinatesAreRankedByCellInBoundedMemory(t *testing.T) {
	s := stateWorld(t, func(o *Options) { o.Candidates[ohio].Serves = Serves{All: true} })
	c := client(t, "")
	c.Spot, c.HasSpot = place.Spot{Point: place.Point{Lat: 52.52, Lon: 13.4}, Country: "DE"}, true
	first := s.Ranking(c)
	c.Spot.Lat, c.Spot.Lon = 52.01, 13.99
	if s.Ranking(c) != first {
		t.Error("the same 1° cell was ranked twice")
	}
	if n := testing.AllocsPerRun(100, func() { s.Ranking(c) }); n != 0 {
		t.Errorf("%v allocations for a known cell", n)
	}
}

func TestLocations(t *testing.T) {
	s := stateWorld(t, nil)
	for path, want := range map[string]string{
		"/v2/a/b/blobs/" + digest:   "https://us.example/v2/p/i/a/b/blobs/" + digest,
		"/v2/a/manifests/" + digest: "https://us.example/v2/p/i/a/manifests/" + digest,
		"/v2/a/manifests/v1":        "https://us.example/v2/p/i/a/manifests/v1",
		"/v2/a/tags/list":           "https://us.example/v2/p/i/a/tags/list",
		"/v2/a/referrers/" + digest: "https://us.example/v2/p/i/a/referrers/" + digest,
	} {
		if got := s.Candidates[us].Location(*parse(t, path)); got != want {
			t.Errorf("Location(%s) = %s, want %s", path, got, want)
		}
	}
	if got, want := s.Candidates[va].Location(*parse(t, "/v2/a/blobs/"+digest)), "https://va.example/"+digest; got != want {
		t.Errorf("Location = %s, want %s", got, want)
	}
}

func TestBadOptions(t *testing.T) {
	canonical := upstream(t, "us", "gcp/us-central1")
	canonical.Canonical = true
	unknown := store(t, "x", "aws/us-east-1", "aws")
	unknown.Place = place.Place{Cloud: "aws", Region: "mars-1"}
	noDigest := store(t, "x", "aws/us-east-1", "aws")
	noDigest.URL = "https://x.example/"
	tests := []struct {
		name string
		opt  Options
		want string
	}{
		{"no map", Options{}, "no map"},
		{"no canonical", Options{Map: place.Embedded(), Candidates: []Candidate{upstream(t, "us", "gcp/us-central1")}}, "no upstream is canonical"},
		{"two canonicals", Options{Map: place.Embedded(), Candidates: []Candidate{canonical, func() Candidate { c := canonical; c.Name = "eu"; return c }()}}, "both canonical"},
		{"same name", Options{Map: place.Embedded(), Candidates: []Candidate{canonical, canonical}}, "two candidates"},
		{"unknown place", Options{Map: place.Embedded(), Candidates: []Candidate{canonical, unknown}}, "not on the map"},
		{"no digest", Options{Map: place.Embedded(), Candidates: []Candidate{canonical, noDigest}}, "has no {digest}"},
		{"pin to nobody", Options{Map: place.Embedded(), Candidates: []Candidate{canonical}, Pins: []Pin{{Cloud: "aws", To: []string{"x"}}}}, `names "x"`},
		{"too many", Options{Map: place.Embedded(), Candidates: make([]Candidate, set.Max+1)}, "at most 256"},
	}
	for _, tt := range tests {
		if _, err := New(tt.opt); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestChangedNamesPlacesWithAnotherFirstChoice(t *testing.T) {
	old := stateWorld(t, nil)
	next := stateWorld(t, func(o *Options) { o.Candidates[ohio].Active = false })
	if got := old.Changed(old); len(got) != 0 {
		t.Errorf("nothing changed, but %v", got)
	}
	if got := next.Changed(old); !slices.Contains(got, "aws/us-east-2: ohio → va") {
		t.Errorf("changes %v lack aws/us-east-2: ohio → va", got)
	}
}
