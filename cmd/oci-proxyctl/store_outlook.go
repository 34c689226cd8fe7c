package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/override"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
	"ociproxy/internal/replay"
	"ociproxy/internal/route"
	"ociproxy/internal/snapshot"
)

// idOf names an override after what it does, so that a person recognises it, and so that the same change made twice is
// one override.
func idOf(o *publication.Override) string {
	text := string(o.Action) + "-" + cmp.Or(o.Candidate, o.Cloud, o.CIDR, o.Repository, strings.TrimPrefix(o.Digest, "sha256:"))
	id := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(text)), "-")
	if o.Digest != "" {
		return id[:min(len(id), len("deny-")+12)]
	}
	if id != text || len(id) > 50 { // other names could give the same id
		id = strings.TrimRight(id[:min(len(id), 50)], "-") + "-" + publication.Hash([]byte(text))[:8]
	}
	return id
}

// denied reads what to deny.
func denied(text string) (publication.Override, error) {
	o := publication.Override{Action: publication.Deny}
	switch {
	case strings.Contains(text, ":"):
		if _, err := oci.ParseDigest(text); err != nil {
			return o, cli.Usage("sha256: and 64 hexadecimal digits, or the name of a repository without a host or tag", "%.200q is no digest", text)
		}
		o.Digest = text
	case !oci.ValidName(text):
		return o, cli.Usage("sha256: and 64 hexadecimal digits, or the name of a repository without a host or tag", "%.200q is no repository", text)
	default:
		o.Repository = text
	}
	return o, nil
}

// outlook says what an override will do, with each of the published configs.
type outlook struct{ rings []effect }

// effect is what an override does with the config of some rings. Only add fields; never remove one.
type effect struct {
	Rings   []string      `json:"rings"`
	Refused string        `json:"refused,omitempty"` // why instances of these rings cannot follow it
	Clients *replay.Moves `json:"clients,omitempty"` // absent when they cannot be known here
	// Without are clouds whose clients keep no store, so that upstreams serve all their layers.
	Without []string `json:"without,omitempty"`
}

// outlookOf judges an override by what is published. It refuses one that no ring could follow.
func (a *app) outlookOf(ctx context.Context, site *publish.Site, state *publish.State, held []publication.Override, o *publication.Override) (*outlook, error) {
	configs, rings := map[string]*config.Config{}, map[string][]string{}
	for _, ring := range state.Rings() {
		h := state.Heads[ring]
		rings[h.SHA256] = append(rings[h.SHA256], ring)
		if configs[h.SHA256] != nil {
			continue
		}
		cfg, err := contentOf(ctx, site, h)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			a.warn("the config of ring %s cannot be read, so what the override does there is not known: %v", ring, err)
			continue
		}
		configs[h.SHA256] = cfg
	}
	if len(configs) == 0 && o.Action != publication.Deny {
		return nil, cli.Fail("config publish publishes one", "no ring has a config that this program can read, so that nobody knows which stores there are")
	}
	if err := knownNames(configs, o); err != nil {
		return nil, err
	}
	out, refused := &outlook{}, 0
	now := time.Now()
	for _, ring := range state.Rings() {
		cfg := configs[state.Heads[ring].SHA256]
		if cfg == nil || rings[state.Heads[ring].SHA256][0] != ring {
			continue
		}
		e := effectOf(cfg, held, o, now)
		e.Rings = rings[state.Heads[ring].SHA256]
		if e.Refused != "" {
			refused++
		}
		out.rings = append(out.rings, e)
	}
	if len(configs) > 0 && refused == len(configs) {
		return nil, cli.Fail("config diff and store overrides show what holds", "%s: %s", aboutOverride(o), out.rings[0].Refused)
	}
	for _, e := range out.rings {
		if e.Refused != "" {
			a.warn("ring %s cannot follow it: %s", strings.Join(e.Rings, ", "), e.Refused)
		}
		if len(e.Without) > 0 {
			a.warn("ring %s: no store is left for the clients of %s: the upstreams serve all their layers", strings.Join(e.Rings, ", "), strings.Join(e.Without, ", "))
		}
	}
	return out, nil
}

// knownNames refuses names that no published config has, and the canonical upstream of any of them.
func knownNames(configs map[string]*config.Config, o *publication.Override) error {
	known := map[string]bool{} // whether it is canonical
	for _, cfg := range configs {
		for _, c := range candidates(cfg) {
			known[c.Name] = known[c.Name] || c.Canonical
		}
	}
	if known[o.Candidate] {
		return cli.Fail("switch off the stores in front of it; another one becomes canonical only in the config",
			"%s is the canonical upstream: it is always active, as the last resort of every request", o.Candidate)
	}
	for _, name := range append(slices.Clone(o.To), o.Candidate) {
		if _, ok := known[name]; ok || name == "" {
			continue
		}
		var names []string
		for n := range known {
			names = append(names, n)
		}
		slices.Sort(names)
		hint := "there are " + strings.Join(names, ", ")
		if near := config.Suggest(name, names); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return cli.Usage(hint, "no store or upstream %q in the published configs", name)
	}
	return nil
}

// effectOf says what one more override does with a config.
func effectOf(cfg *config.Config, held []publication.Override, o *publication.Override, now time.Time) (e effect) {
	at := cfg.At(now)
	held = slices.DeleteFunc(slices.Clone(held), func(b publication.Override) bool { return b.ID == o.ID })
	was := override.Apply(at, &publication.Overrides{Overrides: held}, now)
	is := override.Apply(at, &publication.Overrides{Overrides: append(held, *o)}, now)
	e.Refused = is.Refused[o.ID]
	if o.Action == publication.Deny {
		return e
	}
	var err error
	if e.Clients, err = replay.Predict(is.Config, was.Config, now); err == nil {
		e.Without = without(cfg, is.Config, was.Config)
	}
	return e
}

// without returns the clouds whose clients had a store at some place, and have none there now.
func without(cfg, is, was *config.Config) (clouds []string) {
	next, err := snapshot.Of(is)
	if err != nil {
		return nil
	}
	old, err := snapshot.Of(was)
	if err != nil {
		return nil
	}
	for _, p := range next.Places() {
		if p.IsZero() || !cfg.Ranges.Recognises(p.Cloud) || slices.Contains(clouds, p.Cloud) {
			continue
		}
		if client := (&route.Client{Place: p}); hasStore(old, client) && !hasStore(next, client) {
			clouds = append(clouds, p.Cloud)
		}
	}
	slices.Sort(clouds)
	return clouds
}

func hasStore(s *route.Snapshot, client *route.Client) bool {
	return slices.ContainsFunc(s.Ranking(client).All, func(e route.Ranked) bool {
		c := &s.Candidates[e.Candidate]
		return c.Kind == route.Store && c.Rollout > 0
	})
}

// switched is the JSON document of the commands that write overrides. Only add fields; never remove one.
type switched struct {
	Override   *publication.Override `json:"override,omitempty"` // the new one
	Ended      []string              `json:"ended"`              // ids
	Generation uint64                `json:"generation,omitempty"`
	Rings      []effect              `json:"rings,omitempty"`
	InEffect   time.Time             `json:"inEffect,omitzero"` // from then on everywhere
	DryRun     bool                  `json:"dryRun"`
}

func (a *app) writeSwitched(doc *switched) error {
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	var b strings.Builder
	for _, e := range doc.Rings {
		if e.Clients == nil {
			continue
		}
		fmt.Fprintf(&b, "ring %s:\n", strings.Join(e.Rings, ", "))
		if err := writeMoves(&b, e.Clients); err != nil {
			return err
		}
	}
	if o := doc.Override; o != nil {
		fmt.Fprintln(&b, override.Say(o))
		switch {
		case doc.DryRun:
		case o.Until.IsZero():
			fmt.Fprintf(&b, "It stays until a person ends it: store end %s\n", o.ID)
		default:
			fmt.Fprintf(&b, "It ends by itself at %s UTC, in %s.\n", o.Until.Format("2006-01-02 15:04:05"), time.Until(o.Until).Round(time.Minute))
		}
	}
	for _, id := range doc.Ended {
		fmt.Fprintf(&b, "%s ends now. A store comes back in steps, when its probes are good.\n", id)
	}
	if doc.DryRun {
		b.WriteString("Nothing is written: --dry-run.\n")
	} else {
		fmt.Fprintf(&b, "In effect everywhere by %s UTC, in %s.\n", doc.InEffect.Format(time.TimeOnly), inEffect)
	}
	_, err := fmt.Fprint(a.stdout, &b)
	return err
}
