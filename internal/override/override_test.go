package override

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
	"ociproxy/internal/publication"
)

const text = `version: 1
upstreams:
  - {name: us, url: "https://us.example", place: gcp/us-central1, canonical: true}
  - {name: eu, url: "https://eu.example", place: gcp/europe-west1}
stores:
  - {name: va, url: "https://va.example/{digest}", place: aws/us-east-1, serves: [aws]}
  - {name: old, url: "https://old.example/{digest}", place: aws/us-west-2, serves: [aws], state: draining}
route: {pin: [{cloud: gcp, to: [us]}]}
deny: {repositories: [secret]}
`

const denied = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func load(t testing.TB) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// one is an override that holds at noon for two hours more.
func one(id string, change func(*publication.Override)) publication.Override {
	o := publication.Override{ID: id, Why: "dead bucket", By: "alice", From: noon.Add(-time.Hour), Until: noon.Add(2 * time.Hour)}
	change(&o)
	return o
}

func off(name string) publication.Override {
	return one("off-"+name, func(o *publication.Override) { o.Action, o.Candidate = publication.Off, name })
}

func drain(name string) publication.Override {
	return one("drain-"+name, func(o *publication.Override) { o.Action, o.Candidate = publication.Drain, name })
}

func pin(id, cloud, cidr string, to ...string) publication.Override {
	return one(id, func(o *publication.Override) { o.Action, o.Cloud, o.CIDR, o.To = publication.Pin, cloud, cidr, to })
}

func deny(id, digest, repository string) publication.Override {
	return one(id, func(o *publication.Override) { o.Action, o.Digest, o.Repository = publication.Deny, digest, repository })
}

func document(list ...publication.Override) *publication.Overrides {
	return &publication.Overrides{Overrides: list}
}

// short is what an effect does, in one line for each thing.
func short(e *Effect) (out []string) {
	for _, s := range e.Config.Stores {
		out = append(out, s.Name+" "+string(s.State))
	}
	for _, u := range e.Config.Upstreams {
		out = append(out, u.Name+" "+string(u.State))
	}
	for _, p := range e.Config.Route.Pins {
		from := p.Cloud
		if p.CIDR.IsValid() {
			from = p.CIDR.String()
		}
		out = append(out, "pin "+from+" "+strings.Join(p.To, "+"))
	}
	for _, d := range e.Config.Deny.Digests {
		out = append(out, "deny "+d.String())
	}
	for _, r := range e.Config.Deny.Repositories {
		out = append(out, "deny "+r)
	}
	return out
}

func TestApply(t *testing.T) {
	plain := "va active|old draining|us active|eu active|pin gcp us|deny secret"
	with := func(old, is string) string { return strings.Replace(plain, old, is, 1) }
	for _, tt := range []struct {
		name    string
		o       *publication.Overrides
		now     time.Time
		want    string
		refused map[string]string
	}{
		{"none", nil, noon, plain, nil},
		{"an empty list", document(), noon, plain, nil},
		{"off", document(off("va")), noon, with("va active", "va off"), nil},
		{"drain of a replica", document(drain("eu")), noon, with("eu active", "eu draining"), nil},
		{"off and drain: off", document(off("va"), drain("va")), noon, with("va active", "va off"), nil},
		{"drain and off: off", document(drain("va"), off("va")), noon, with("va active", "va off"), nil},
		{"off lowers a state", document(off("old")), noon, with("old draining", "old off"), nil},
		{"drain raises none", document(off("old"), drain("old")), noon, with("old draining", "old off"), nil},
		{"the last second", document(off("va")), noon.Add(2*time.Hour - time.Second), with("va active", "va off"), nil},
		{"ended", document(off("va")), noon.Add(2 * time.Hour), plain, nil},
		{"canonical is never off", document(off("us")), noon, plain, map[string]string{
			"off-us": "us is the canonical upstream, the last resort of every request: make another one canonical in the config"}},
		{"canonical is never drained", document(drain("us")), noon, plain, map[string]string{
			"drain-us": "us is the canonical upstream, the last resort of every request: make another one canonical in the config"}},
		{"a stranger; the rest holds", document(off("zz"), off("va")), noon, with("va active", "va off"), map[string]string{
			"off-zz": `this config has no store or upstream "zz"`}},
		{"pins come first, in their order", document(pin("a", "aws", "", "va"), pin("b", "", "192.0.2.7/24", "eu", "us")), noon,
			with("pin gcp us", "pin aws va|pin 192.0.2.0/24 eu+us|pin gcp us"), nil},
		{"a pin in part", document(pin("a", "aws", "", "va", "old", "zz")), noon, with("pin gcp us", "pin aws va|pin gcp us"), map[string]string{
			"a": "only a part of it holds: old is draining, zz does not exist"}},
		{"a pin to nowhere, because of another override", document(pin("a", "aws", "", "va"), off("va")), noon, with("va active", "va off"), map[string]string{
			"a": "it can send clients nowhere: va is off"}},
		{"a pin of no cloud", document(pin("a", "mars", "", "va")), noon, plain, map[string]string{"a": `this config does not know the cloud "mars"`}},
		{"deny", document(deny("a", denied, ""), deny("b", "", "team/app")), noon, with("deny secret", "deny "+denied+"|deny secret|deny team/app"), nil},
		{"deny of nonsense", document(deny("a", "sha256:12", ""), deny("b", "", "Team//App")), noon, plain, map[string]string{
			"a": `not a digest: "sha256:12"`, "b": `not the name of a repository: "Team//App"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := load(t)
			before := short(&Effect{Config: cfg})
			e := Apply(cfg, tt.o, tt.now)
			if diff := cmp.Diff(strings.Split(tt.want, "|"), short(&e)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if len(e.Refused)+len(tt.refused) > 0 {
				if diff := cmp.Diff(tt.refused, e.Refused); diff != "" {
					t.Errorf("refused (-want +got)\n%s", diff)
				}
			}
			if diff := cmp.Diff(before, short(&Effect{Config: cfg})); diff != "" {
				t.Errorf("the config itself changed (-was +is)\n%s", diff)
			}
		})
	}
}

// Whatever overrides say, canonical stays active, nothing becomes active, and no URL changes.
func TestOverridesOnlyTakeAway(t *testing.T) {
	cfg := load(t)
	names := []string{"us", "eu", "va", "old", "zz"}
	for n := range 2000 {
		var list []publication.Override
		for i := range rand.IntN(6) {
			o := one(fmt.Sprint(i), func(o *publication.Override) {
				o.Action = append(actions, "move")[rand.IntN(5)]
				o.Candidate, o.Cloud = names[rand.IntN(5)], []string{"aws", "gcp", "mars", ""}[rand.IntN(4)]
				o.To = []string{names[rand.IntN(5)], names[rand.IntN(5)]}
				o.Digest = denied
			})
			list = append(list, o)
		}
		e := Apply(cfg, document(list...), noon)
		for i, s := range e.Config.Stores {
			if was := cfg.Stores[i]; s.State == config.Active && was.State != config.Active || s.URL != was.URL {
				t.Fatalf("%d: %+v became %+v", n, was, s)
			}
		}
		if e.Config.Canonical().State != config.Active || e.Config.Canonical().Name != "us" {
			t.Fatalf("%d: canonical is %+v", n, e.Config.Canonical())
		}
		for _, p := range e.Config.Route.Pins {
			for _, to := range p.To {
				if state, _ := stateOf(e.Config, to); state == nil || *state != config.Active {
					t.Fatalf("%d: a pin leads to %s", n, to)
				}
			}
		}
	}
}

func TestSay(t *testing.T) {
	o := off("va")
	if got, want := Say(&o), "va is off until 2026-11-30T14:00:00Z by alice: dead bucket (override off-va)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestNext(t *testing.T) {
	o := document(off("va"), one("x", func(o *publication.Override) { o.Until = noon.Add(time.Minute) }), one("y", func(o *publication.Override) { o.Until = time.Time{} }))
	for _, tt := range []struct{ now, want time.Time }{
		{noon, noon.Add(time.Minute)}, {noon.Add(time.Minute), noon.Add(2 * time.Hour)}, {noon.Add(3 * time.Hour), time.Time{}},
	} {
		if got := Next(o, tt.now); !got.Equal(tt.want) {
			t.Errorf("after %s: %s, want %s", tt.now, got, tt.want)
		}
	}
}
