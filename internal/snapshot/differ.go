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

// Differ lists the stores and upstreams that differ between two configs, by name, and in which keys of their stanzas:
// "va: price", "cdn: new". What `places` and `route` say of a candidate's place and price counts as said in its stanza.
// Sorted. Values are left out, but those that are safe to show.
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

// stanza is what a config says of a candidate.
type stanza struct {
	keys   reflect.Value // a config.Store or config.Upstream: read by reflection, so that no key is forgotten
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

// differs names what of s is another than in was, in the words of the config.
func (s stanza) differs(was stanza) (what []string) {
	if s.keys.Type() != was.keys.Type() {
		return []string{"kind"}
	}
	for i := range s.keys.NumField() {
		key := s.keys.Type().Field(i).Tag.Get("yaml")
		is, before := s.keys.Field(i).Interface(), was.keys.Field(i).Interface()
		same := reflect.DeepEqual(is, before)
		switch key {
		case "check": // the default follows url, which is named already
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

// spot is what counts of a place: another spelling of it is the same, and other coordinates are not.
func (s stanza) spot() [2]any {
	return [2]any{s.site.Spot, [2]string{s.site.Place.String(), s.site.Partition}}
}

// samePrice reports whether prices of the operator's own are the same, those of the place included, and whether the
// price lists are read at the same tier. A candidate in another place has other list prices: that is the place's news.
func (s stanza) samePrice(was stanza) bool {
	if !reflect.DeepEqual(s.own(), was.own()) {
		return false
	}
	tier, before := s.cfg.Route.MonthlyTB, was.cfg.Route.MonthlyTB
	if tier == before {
		return true
	}
	sites := s.cfg.Map()
	cents := func(to place.Site, monthlyTB float64) float64 {
		return sites.CentsPerGB(s.source, to.Place, to.Spot, monthlyTB).Cents
	}
	return !slices.ContainsFunc(sites.Sites(), func(to place.Site) bool { return cents(to, tier) != cents(to, before) })
}

// own are the prices that replace the lists'. A CDN has none of its place.
func (s stanza) own() place.Override {
	if s.source.CDN != "" {
		return s.source.Override
	}
	return s.source.Override.Over(s.site.Price)
}
