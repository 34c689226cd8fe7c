package override

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/publication"
)

// Effect is what overrides make of a config at one time. It is immutable.
type Effect struct {
	// Config is the config as it works now. It shares everything that did not change with the config that was given,
	// so do not change either.
	Config *config.Config
	// Holding are the overrides that hold now, refused ones included, in the order of the document.
	Holding []publication.Override
	// Refused says, by id, why an override or a part of it cannot be followed with this config.
	Refused map[string]string
	// Out says, by name, why a candidate that the config would send clients to gets none.
	Out map[string]string
}

// Apply returns what overrides make of cfg, which is the config as it works now without them (config.At). No overrides
// (nil) change nothing. An override that does not fit cfg is refused alone, and the others hold. An override only takes
// away: it never makes a candidate active, and never touches the canonical upstream, so that the last resort of every
// request stays.
func Apply(cfg *config.Config, o *publication.Overrides, now time.Time) Effect {
	e := Effect{Config: cfg}
	if o == nil {
		return e
	}
	for i := range o.Overrides {
		if o.Overrides[i].Holds(now) {
			e.Holding = append(e.Holding, o.Overrides[i])
		}
	}
	if len(e.Holding) == 0 {
		return e
	}
	out := *cfg
	out.Stores, out.Upstreams = slices.Clone(cfg.Stores), slices.Clone(cfg.Upstreams)
	e.Config, e.Refused, e.Out = &out, map[string]string{}, map[string]string{}
	for _, action := range []publication.Action{publication.Drain, publication.Off, publication.Deny, publication.Pin} {
		for i := range e.Holding { // states come first: a pin needs an active candidate
			if one := &e.Holding[i]; one.Action == action {
				e.apply(one)
			}
		}
	}
	for i := range e.Holding {
		if one := &e.Holding[i]; !slices.Contains(actions, one.Action) {
			e.refuse(one, "this release does not know %q", one.Action)
		}
	}
	// The pins of overrides come before those of the config, in the order of the document.
	if added := out.Route.Pins[:len(out.Route.Pins)-len(cfg.Route.Pins)]; len(added) > 1 {
		slices.Reverse(added)
	}
	return e
}

var actions = []publication.Action{publication.Off, publication.Drain, publication.Pin, publication.Deny}

func (e *Effect) refuse(o *publication.Override, format string, args ...any) {
	e.Refused[o.ID] = fmt.Sprintf(format, args...)
}

func (e *Effect) apply(o *publication.Override) {
	switch o.Action {
	case publication.Off:
		e.lower(o, config.Off)
	case publication.Drain:
		e.lower(o, config.Draining)
	case publication.Pin:
		e.pin(o)
	case publication.Deny:
		e.deny(o)
	}
}

// lower gives a candidate a state in which it gets no client.
func (e *Effect) lower(o *publication.Override, to config.State) {
	state, canonical := stateOf(e.Config, o.Candidate)
	switch {
	case state == nil:
		e.refuse(o, "this config has no store or upstream %q", o.Candidate)
		return
	case canonical:
		e.refuse(o, "%s is the canonical upstream, the last resort of every request: make another one canonical in the config", o.Candidate)
		return
	case *state == config.Active:
		e.Out[o.Candidate] = verdict(o)
	case e.Out[o.Candidate] != "" && to == config.Off: // off says more than drain
		e.Out[o.Candidate] = verdict(o)
	}
	if *state == config.Active || to == config.Off {
		*state = to
	}
}

// stateOf returns where cfg keeps the state of a candidate; nil: there is no such candidate.
func stateOf(cfg *config.Config, name string) (state *config.State, canonical bool) {
	for i := range cfg.Stores {
		if cfg.Stores[i].Name == name {
			return &cfg.Stores[i].State, false
		}
	}
	for i := range cfg.Upstreams {
		if cfg.Upstreams[i].Name == name {
			return &cfg.Upstreams[i].State, cfg.Upstreams[i].Canonical
		}
	}
	return nil, false
}

func (e *Effect) pin(o *publication.Override) {
	p := config.Pin{Cloud: o.Cloud}
	switch {
	case o.CIDR != "":
		prefix, err := netip.ParsePrefix(o.CIDR)
		if err != nil {
			e.refuse(o, "cidr: %v", err)
			return
		}
		p.CIDR = prefix.Masked()
	case !e.Config.Map().HasCloud(o.Cloud):
		e.refuse(o, "this config does not know the cloud %q", o.Cloud)
		return
	}
	var cannot []string
	for _, name := range o.To {
		switch state, _ := stateOf(e.Config, name); {
		case state == nil:
			cannot = append(cannot, name+" does not exist")
		case *state != config.Active:
			cannot = append(cannot, fmt.Sprintf("%s is %s", name, *state))
		default:
			p.To = append(p.To, name)
		}
	}
	switch why := strings.Join(cannot, ", "); {
	case len(p.To) == 0:
		e.refuse(o, "it can send clients nowhere: %s", why)
		return
	case why != "":
		e.refuse(o, "only a part of it holds: %s", why)
	}
	e.Config.Route.Pins = append([]config.Pin{p}, e.Config.Route.Pins...)
}

func (e *Effect) deny(o *publication.Override) {
	deny := &e.Config.Deny
	if o.Repository != "" {
		if !oci.ValidName(o.Repository) {
			e.refuse(o, "not the name of a repository: %.100q", o.Repository)
			return
		}
		deny.Repositories = append(slices.Clip(deny.Repositories), o.Repository)
		return
	}
	d, err := oci.ParseDigest(o.Digest)
	if err != nil {
		e.refuse(o, "not a digest: %.100q", o.Digest)
		return
	}
	deny.Digests = append(slices.Clip(deny.Digests), d)
}

// Next returns when the first override ends after now; the zero time: none does.
func Next(o *publication.Overrides, now time.Time) (next time.Time) {
	if o == nil {
		return next
	}
	for i := range o.Overrides {
		if until := o.Overrides[i].Until; until.After(now) && (next.IsZero() || until.Before(next)) {
			next = until
		}
	}
	return next
}

// Say describes an override for people: "s3-use1 is off until 2026-11-30T14:00:00Z by alice: dead bucket (override x1)".
func Say(o *publication.Override) string {
	switch o.Action {
	case publication.Off, publication.Drain:
		return o.Candidate + " is " + verdict(o)
	case publication.Pin:
		return o.Cloud + o.CIDR + " is pinned to " + strings.Join(o.To, ", ") + tail(o)
	default:
		return o.Digest + o.Repository + " is denied" + tail(o)
	}
}

func verdict(o *publication.Override) string {
	state := "off"
	if o.Action == publication.Drain {
		state = "draining"
	}
	return state + tail(o)
}

func tail(o *publication.Override) string {
	var b strings.Builder
	if !o.Until.IsZero() {
		b.WriteString(" until " + o.Until.UTC().Format(time.RFC3339))
	}
	if o.By != "" {
		b.WriteString(" by " + o.By)
	}
	return b.String() + ": " + o.Why + " (override " + o.ID + ")"
}

// Equal reports whether two effects on the same config are the same.
func (e *Effect) Equal(o *Effect) bool {
	same := func(a, b publication.Override) bool {
		return a.ID == b.ID && a.Action == b.Action && a.Until.Equal(b.Until) && Say(&a) == Say(&b)
	}
	return slices.EqualFunc(e.Holding, o.Holding, same) && maps.Equal(e.Refused, o.Refused) && maps.Equal(e.Out, o.Out)
}
