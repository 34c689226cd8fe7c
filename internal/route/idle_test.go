package route

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestIdle: each way in which a store is no client's first choice, with the reason; and the ways in which it only seems so.
func TestIdle(t *testing.T) {
	rollout := func(c Candidate, percent int) Candidate { c.Rollout = percent; return c }
	v4 := func(c Candidate) Candidate { c.IPv6 = false; return c }
	a := func() Candidate { return store(t, "a", "aws/us-east-1", "aws") }
	b := func() Candidate { return store(t, "b", "aws/eu-west-1", "aws") }
	tests := []struct {
		name   string
		cs     []Candidate
		pins   []Pin
		clouds string // recognised
		geoip  bool
		want   string // "name: reason", or "" for none
	}{
		{name: "two regions", cs: []Candidate{a(), b()}, clouds: "aws"},
		{name: "the same town, dearer", cs: []Candidate{store(t, "o", "oracle/us-ashburn-1", "aws"), store(t, "z", "gcp/us-east4", "aws")}, clouds: "aws",
			want: "z: o is better at all 50 places that it may serve"},
		{name: "a registry far better", cs: []Candidate{priced(store(t, "z", "aws/ap-southeast-2", "internet"), 90), upstream(t, "u", "gcp/us-east1")}, clouds: "gcp",
			want: "z: canonical is better at the one place that it may serve"},
		{name: "two others share its places", cs: []Candidate{priced(store(t, "z", "oracle/us-phoenix-1", "aws"), 50), a(), b()}, clouds: "aws",
			want: "z: others are better at all 50 places that it may serve: a at "},
		{name: "serves a cloud that no feed tells", cs: []Candidate{a(), b()}, clouds: "gcp",
			want: "a: it serves no client that the server can recognise (serves: aws); b: it serves no client that the server can recognise (serves: aws)"},
		{name: "always second", cs: []Candidate{a(), priced(store(t, "z", "oracle/us-ashburn-1", "aws"), 10)}, clouds: "aws",
			want: "z: others are better at all"},
		{name: "rollout 0", cs: []Candidate{rollout(a(), 0)}, clouds: "aws", want: "a: its rollout is 0"},
		{name: "rollout 1", cs: []Candidate{rollout(a(), 1), b()}, clouds: "aws"},
		{name: "behind one whose rollout is not done", cs: []Candidate{rollout(a(), 50), priced(store(t, "z", "oracle/us-ashburn-1", "aws"), 10)}, clouds: "aws"},
		{name: "behind one whose rollout is 0", cs: []Candidate{rollout(a(), 0), b()}, clouds: "aws", want: "a: its rollout is 0"},
		{name: "for IPv6 only", cs: []Candidate{v4(a()), priced(store(t, "z", "oracle/us-ashburn-1", "aws"), 10)}, clouds: "aws"},
		{name: "its cloud is pinned", cs: []Candidate{a(), b()}, pins: []Pin{{Cloud: "aws", To: []string{"b"}}}, clouds: "aws",
			want: "a: route.pin sends all its clients to other candidates"},
		{name: "everybody is pinned", cs: []Candidate{a(), b()}, clouds: "aws",
			pins: []Pin{{CIDR: netip.MustParsePrefix("0.0.0.0/0"), To: []string{"b"}}, {CIDR: netip.MustParsePrefix("::/0"), To: []string{"b"}}},
			want: "a: route.pin sends all its clients to other candidates"},
		{name: "everybody with IPv4 is pinned", cs: []Candidate{a(), b()}, clouds: "aws", pins: []Pin{{CIDR: netip.MustParsePrefix("0.0.0.0/0"), To: []string{"b"}}}},
		{name: "some networks are pinned", cs: []Candidate{a(), b()}, clouds: "aws", pins: []Pin{
			{CIDR: netip.MustParsePrefix("10.0.0.0/8"), To: []string{"b"}}, {CIDR: netip.MustParsePrefix("2001:db8::/32"), To: []string{"b"}}}},
		{name: "only pinned clients come", cs: []Candidate{a(), store(t, "lab", "oracle/ap-sydney-1", "oracle")}, clouds: "aws",
			pins: []Pin{{CIDR: netip.MustParsePrefix("10.0.0.0/8"), To: []string{"lab"}}}},
		{name: "not in service yet", cs: []Candidate{a(), off(store(t, "z", "aws/us-east-1", "aws"))}, clouds: "aws"},
		{name: "two for the internet, and all unknown clients borrow one place", cs: []Candidate{
			store(t, "ohio", "aws/us-east-2", "internet"), store(t, "paris", "aws/eu-west-3", "internet")}, clouds: "gcp",
			want: "paris: ohio is better at the one place that it may serve"},

		{name: "the same with coordinates", cs: []Candidate{
			store(t, "ohio", "aws/us-east-2", "internet"), store(t, "paris", "aws/eu-west-3", "internet")}, clouds: "gcp", geoip: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cs := slices.Clone(tt.cs)
			opt := Options{CostWeight: 5, Location: at(t, "gcp/us-central1"), Pins: tt.pins, Candidates: cs}
			s := snapshot(t, opt)
			var got []string
			for _, idle := range s.Idle(Audience{Cloud: func(c string) bool { return c == tt.clouds }, Coordinates: tt.geoip}) {
				got = append(got, s.Candidates[idle.Candidate].Name+": "+idle.Why)
			}
			if text := strings.Join(got, "; "); !strings.HasPrefix(text, tt.want) || tt.want == "" && text != "" {
				t.Errorf("got  %q\nwant %q", text, tt.want)
			}
		})
	}
}

// TestIdleNames: a store that only a name of its own leads to is that name's first choice.
func TestIdleNames(t *testing.T) {
	s := snapshot(t, Options{CostWeight: 5, Confines: true, Location: at(t, "gcp/us-central1"), Candidates: []Candidate{
		store(t, "a", "aws/us-east-1", "aws"), priced(store(t, "z", "oracle/us-ashburn-1", "aws"), 10)}})
	z, err := s.Confine([]string{"z"})
	if err != nil {
		t.Fatal(err)
	}
	a := Audience{Cloud: func(string) bool { return true }}
	if got := s.Idle(a); len(got) != 1 {
		t.Errorf("without the name: %+v", got)
	}
	a.Names = []*Confinement{z}
	if got := s.Idle(a); len(got) != 0 {
		t.Errorf("with it: %+v", got)
	}
}

// TestIdleLots: of stores that nothing tells apart, each is somebody's first choice when there are places enough; where
// there is one place, the reason says that a lot decided.
func TestIdleLots(t *testing.T) {
	everybody := Audience{Cloud: func(string) bool { return true }}
	twins := func(serves string) []Idle {
		return duel(t, Options{CostWeight: 5}, store(t, "a", "aws/us-east-1", serves), store(t, "b", "aws/us-east-1", serves), canonical(t, "u", "gcp/us-east4")).Idle(everybody)
	}
	if got := twins("aws"); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	got := twins("exoscale") // nine places
	if len(got) != 0 {
		t.Errorf("%+v", got)
	}
	s := duel(t, Options{}, store(t, "a", "aws/us-east-1", "internet"), store(t, "b", "aws/us-east-1", "internet"), canonical(t, "u", "gcp/us-east4"))
	got = s.Idle(Audience{Cloud: func(string) bool { return false }})
	if len(got) != 1 || !strings.HasSuffix(got[0].Why, " is drawn by lot at the same score at the one place that it may serve") {
		t.Errorf("%+v", got)
	}
}
