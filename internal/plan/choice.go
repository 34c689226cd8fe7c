package plan

import (
	"slices"
	"strings"

	"ociproxy/internal/plan/solve"
	"ociproxy/internal/route"
)

// chooser states which candidate the server takes for a client, as options in the order of the server's preference. The
// rules are those of package route: `serves`, `internet`, clients outside their cloud's price, pins, the last resort.
type chooser struct {
	w    *World
	snap *route.Snapshot // with all candidates
	// keep are groups of stores of which each set has one, and the cloud for whose clients: see [chooser.options].
	keep map[string][][]int
}

// who sorts the candidates by what they are for the clients of a cloud.
type who struct {
	serves   []route.Ranked // whatever the set is
	internet []route.Ranked // may get them, or not: that depends on the set
	// namers are the candidates that keep `internet` from the clients, by their own `serves`; nil: it is sure that
	// internet is kept from them, or that nothing can.
	namers []int
	named  bool // it is sure that internet is kept from them
}

func (c *chooser) who(cloud string, order []route.Ranked) (out who) {
	var namers []int
	for i := range c.w.Candidates {
		k := &c.w.Candidates[i]
		switch {
		case cloud == "":
		case k.upstream != nil && k.upstream.Place.Cloud == cloud:
			out.named = true
		case !c.snap.Candidates[i].Active || !slices.Contains(c.snap.Candidates[i].Serves.Clouds, cloud):
		case k.Fixed:
			out.named = true
		default:
			namers = append(namers, i)
		}
	}
	if !out.named {
		out.namers = namers
	}
	for _, r := range order {
		s := &c.snap.Candidates[r.Candidate].Serves
		switch {
		case s.All || slices.Contains(s.Clouds, cloud), s.Internet && !out.named && len(out.namers) == 0:
			out.serves = append(out.serves, r)
		case s.Internet:
			out.internet = append(out.internet, r)
		}
	}
	return out
}

// options returns the options of a client, and the sites that switch off their Instead.
func (c *chooser) options(cl *client) (all []solve.Option, inside []int) {
	ranking := c.snap.Ranking(&cl.asked)
	order := slices.DeleteFunc(slices.Clone(ranking.Pinned), func(r route.Ranked) bool { return !c.snap.Candidates[r.Candidate].IPv4 })
	if pinned, ok := c.pinned(cl, order); ok {
		return c.ends(cl, c.plain(cl, pinned)), nil
	}
	cloud := cl.asked.Place.Cloud
	who := c.who(cloud, order)
	switch own, inCloud, outside := c.own(cl, order); {
	case len(who.internet) == 0:
		return c.ends(cl, c.plain(cl, who.serves)), nil
	case outside:
		// Nobody, or only those of own, has the cloud's own price: internet stores that are cheaper than the first one
		// count. They count only while a store serves the cloud from inside. So that this is sure, every set has one.
		for _, group := range [][]int{who.namers, inCloud} {
			if len(group) > 0 && !slices.ContainsFunc(c.keep[cloud], func(g []int) bool { return slices.Equal(g, group) }) {
				c.keep[cloud] = append(c.keep[cloud], group)
			}
		}
		if c.w.opt.Hot { // the first one may be a store that does not hold what they ask for
			c.w.loose = append(c.w.loose, cl.Name())
		}
		cheaper := func(first *route.Ranked, r route.Ranked) bool { return r.Price.Cents < first.Price.Cents }
		return c.ends(cl, c.instead(cl, who.serves, who.internet, cheaper)), own
	case who.named:
		return c.ends(cl, c.plain(cl, who.serves)), nil
	default:
		any := func(*route.Ranked, route.Ranked) bool { return true }
		all = c.instead(cl, who.serves, who.internet, any)
		// With no store that names the cloud, and nobody who serves all, the internet stores are the ranking.
		return c.ends(cl, append(all, c.plain(cl, who.internet)...)), who.namers
	}
}

// own returns the candidates that send to the client at the price of its own cloud, and all those that serve the client
// from inside the cloud; the latter is nil when a fixed one does. It reports whether the client may be outside: whether
// there are sets in which none of own is open although a candidate serves it from inside.
func (c *chooser) own(cl *client, order []route.Ranked) (own, in []int, outside bool) {
	at, m := cl.asked.Place, c.w.cfg.Map()
	_, listed := m.Find(at)
	fixed := false
	for _, r := range order {
		k := &c.snap.Candidates[r.Candidate]
		switch {
		case k.CDN != "":
			if slices.Contains(k.Serves.Clouds, at.Cloud) {
				return nil, nil, false
			}
		case at.Cloud == "" || k.Place.Cloud != at.Cloud || !k.Serves.All && !slices.Contains(k.Serves.Clouds, at.Cloud):
		case listed && m.OneCloud(k.Place, at) && c.w.Candidates[r.Candidate].Fixed:
			return nil, nil, false
		default:
			if listed && m.OneCloud(k.Place, at) {
				own = append(own, r.Candidate)
			}
			in = append(in, r.Candidate)
			fixed = fixed || c.w.Candidates[r.Candidate].Fixed
		}
	}
	slices.Sort(in)
	outside = len(in) > len(own)
	if fixed {
		in = nil
	}
	return own, in, outside
}

// pinned returns the candidates that a pin leaves to the clients of a cloud.
func (c *chooser) pinned(cl *client, order []route.Ranked) ([]route.Ranked, bool) {
	for _, p := range c.w.cfg.Route.Pins {
		if p.Cloud != "" && p.Cloud == cl.asked.Place.Cloud {
			return slices.DeleteFunc(order, func(r route.Ranked) bool { return !slices.Contains(p.To, c.snap.Candidates[r.Candidate].Name) }), true
		}
	}
	return nil, false
}

// plain makes options of candidates in their order, those that hold what the client asks for.
func (c *chooser) plain(cl *client, order []route.Ranked) (all []solve.Option) {
	for _, r := range order {
		if c.holds(cl, r.Candidate) {
			all = append(all, solve.Option{Site: r.Candidate})
		}
	}
	return all
}

// holds reports whether a candidate has what the client asks for.
func (c *chooser) holds(cl *client, i int) bool {
	return !cl.cold || c.w.Candidates[i].Exists || c.w.Candidates[i].Fixed
}

// instead is plain, with the internet stores that come before an option when that is the first open one.
func (c *chooser) instead(cl *client, order, internet []route.Ranked, counts func(first *route.Ranked, r route.Ranked) bool) (all []solve.Option) {
	before := func(a, b int) bool { // in the server's order, which Pinned has
		for _, r := range c.snap.Ranking(&cl.asked).Pinned {
			if r.Candidate == a || r.Candidate == b {
				return r.Candidate == a
			}
		}
		return false
	}
	for k := range order {
		first := &order[k]
		o := solve.Option{Site: first.Candidate}
		for _, r := range internet {
			if counts(first, r) && before(r.Candidate, first.Candidate) && c.holds(cl, r.Candidate) {
				o.Instead = append(o.Instead, solve.Option{Site: r.Candidate})
			}
		}
		if c.holds(cl, first.Candidate) {
			all = append(all, o)
		}
	}
	return all
}

// ends adds the last resort: the nearest upstream that serves the client, then canonical.
func (c *chooser) ends(cl *client, all []solve.Option) []solve.Option {
	var last []int
	for _, r := range c.snap.Ranking(&cl.asked).Upstreams {
		last = append(last, r.Candidate)
	}
	for _, i := range append(last, c.snap.Canonical) {
		if !slices.ContainsFunc(all, func(o solve.Option) bool { return o.Site == i }) {
			all = append(all, solve.Option{Site: i})
		}
	}
	return all
}

// state makes the problem.
func (w *World) state(snap *route.Snapshot) error {
	c := chooser{w: w, snap: snap, keep: map[string][][]int{}}
	p := &solve.Problem{PerMS: w.perMS}
	for i := range w.Candidates {
		p.Sites = append(p.Sites, solve.Site{Must: w.Candidates[i].Fixed, USD: w.tariff.site(i)})
	}
	for k := range w.clients {
		cl := &w.clients[k]
		all, inside := c.options(cl)
		price := func(o *solve.Option) {
			o.USD, o.MS = w.tariff.serve(k, o.Site), cl.Bytes/gigabyte*cl.rtt[o.Site]
		}
		for i := range all {
			price(&all[i])
			for j := range all[i].Instead {
				price(&all[i].Instead[j])
			}
		}
		p.Clients = append(p.Clients, solve.Client{Options: all, Inside: inside})
	}
	for cloud, groups := range c.keep {
		for _, sites := range groups {
			p.Groups = append(p.Groups, solve.Group{Sites: sites, Min: 1})
		}
		w.Notes = append(w.Notes, "Every set has a store for "+cloud+": some of its clients are outside the cloud's own price.")
	}
	slices.SortFunc(p.Groups, func(a, b solve.Group) int { return slices.Compare(a.Sites, b.Sites) })
	if len(w.loose) > 0 {
		slices.Sort(w.loose)
		w.Notes = append(w.Notes, "Where the clients at "+strings.Join(slices.Compact(w.loose), ", ")+" get what is not hot is an approximation of the search: they are outside their cloud's own price. All figures are what the server's router says, but no set is proven to be the best, and the gap is an estimate.")
	}
	slices.Sort(w.Notes)
	w.problem = p
	return w.opt.Rules.apply(w)
}
