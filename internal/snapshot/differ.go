package snapshot

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

// Differ lists by name the stores and upstreams that differ between two configs, and which keys of their stanzas
// differ: "va: price", "cdn: new". If `places` or `route` change a candidate's place or price, that counts as a
// change of its stanza. The list is sorted. It contains no values, except those that are safe to show.
func Differ(next, old *config.Config) []string {
	is, was := stanzas(next), stanzas(old)
	var out []string
	for name, s := range is {
		if w, ok := was[name]; !ok {
			out = append(out, name+": new")
		} else if what := s.differs(w); len(what) > 0 {
			out = append(out, name+": "+strings.Join(what, ", "))
		}
	}
	for name := range maps.Keys(was) {
		if _, stays := is[name]; !stays {
			out = append(out, name+": removed")
		}
	}
	slices.Sort(out)
	return out
}

// stanza is what a config says about a candidate.
type stanza struct {
	keys   reflect.Value // a config.Store or config.Upstream, read by reflection so that no key is forgotten
	cfg    *config.Config
	source place.Source
	site   place.Site
}

func stanzas(cfg *config.Config) map[string]stanza {
	out, sites := map[string]stanza{}, cfg.Map()
	add := func(name string, keys any, source place.Source) {
		s := stanza{reflect.ValueOf(keys), cfg, source, place.Site{Place: source.Place}}
		if site, ok := sites.Find(source.Place); ok {
			s.site = site
		}
		out[name] = s
	}
	for _, st := range cfg.Stores {
		add(st.Name, st, place.Source{Place: st.Place, CDN: st.CDN, Override: st.Price})
	}
	for _, up := range cfg.Upstreams {
		add(up.Name, up, place.Source{Place: up.Place, Override: up.Price})
	}
	return out
}

// differs returns the names of the config keys in which s differs from was.
func (s stanza) differs(was stanza) (what []string) {
	if s.keys.Type() != was.keys.Type() {
		return []string{"kind"}
	}
	for i := range s.keys.NumField() {
		key := s.keys.Type().Field(i).Tag.Get("yaml")
		is, before := s.keys.Field(i).Interface(), was.keys.Field(i).Interface()
		same := reflect.DeepEqual(is, before)
		switch key {
		case "check": // the default follows url, which is reported anyway
			same = same || s.checksURL() && was.checksURL()
		case "place":
			same = s.spot() == was.spot()
		case "price":
			same = same && s.samePrice(was)
		case "state", "rollout":
			if !same {
				key = fmt.Sprintf("%s %v → %v", key, before, is)
			}
		}
		if !same {
			what = append(what, key)
		}
	}
	return what
}

func (s stanza) checksURL() bool {
	st, ok := s.keys.Interface().(config.Store)
	return ok && st.Check == st.URL
}

// spot is what matters about a place: another spelling is no difference, but other coordinates are.
func (s stanza) spot() [2]any {
	return [2]any{s.site.Spot, [2]string{s.site.Place.String(), s.site.Partition}}
}

// samePrice reports whether the operator's own prices are the same, including those of the place, and whether the
// price lists give the same prices at both tiers. If a candidate moved, it has other list prices, but that counts as
// a difference in "place".
func (s stanza) samePrice(was stanza) bool {
	if !reflect.DeepEqual(s.own(), was.own()) {
		return false
	}
	tier, before := s.cfg.Route.Sent(), was.cfg.Route.Sent()
	if tier == before {
		return true
	}
	sites := s.cfg.Map()
	cents := func(to place.Site, sent float64) float64 {
		return sites.Quote(s.source, to.Place, to.Spot, sent).Cents
	}
	return !slices.ContainsFunc(sites.Sites(), func(to place.Site) bool { return cents(to, tier) != cents(to, before) })
}

// own returns the prices that replace list prices. A CDN does not use the price of its place.
func (s stanza) own() place.Override {
	if s.source.CDN != "" {
		return s.source.Override
	}
	return s.source.Override.Over(s.site.Price)
}
