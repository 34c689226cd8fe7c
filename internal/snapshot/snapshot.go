package snapshot

import (
	"slices"

	"ociproxy/internal/config"
	"ociproxy/internal/route"
)

// Of compiles the routing of cfg, which must be valid. The candidates are the stores in the order of the file, then
// the upstreams, including those that are off. States are those of cfg: for announced dates, give it config.At of the
// present time. Of reads the file that route.latency names. The error says which part
// of the config cannot be used for routing.
func Of(cfg *config.Config) (*route.Snapshot, error) {
	matrix, err := Latency(cfg)
	if err != nil {
		return nil, err
	}
	return With(cfg, matrix, func(*route.Candidate) {})
}

// With is [Of] with the round trips of [Latency] and with candidates that change has changed. It may lower a rollout,
// and say why a candidate gets no client. With reads no file.
func With(cfg *config.Config, matrix route.Matrix, change func(*route.Candidate)) (*route.Snapshot, error) {
	opt := route.Options{
		Map: cfg.Map(), Location: cfg.Location, Matrix: matrix,
		CostWeight: cfg.Route.CostWeight, Sent: cfg.Route.Sent(),
		Confines:    slices.ContainsFunc(cfg.Names, func(n config.Name) bool { return n.Role == config.Direct }),
		DenyDigests: cfg.Deny.Digests, DenyRepositories: cfg.Deny.Repositories,
	}
	for i := range cfg.Stores {
		st := &cfg.Stores[i]
		opt.Candidates = append(opt.Candidates, route.Candidate{
			Name: st.Name, Kind: route.Store, Place: st.Place, CDN: st.CDN, Price: st.Price,
			URL: st.URL, Check: st.Check, Serves: route.Serves(st.Serves), Active: st.State == config.Active, State: string(st.State),
			Announced: st.Announce.Note(st.State),
			Rollout:   st.Rollout, IPv4: st.Families.IPv4, IPv6: st.Families.IPv6,
		})
	}
	for i := range cfg.Upstreams {
		up := &cfg.Upstreams[i]
		opt.Candidates = append(opt.Candidates, route.Candidate{
			Name: up.Name, Kind: route.Upstream, Place: up.Place, Price: up.Price,
			URL: up.URL, Prefix: up.Prefix, Serves: route.Serves(up.Serves), Active: up.State == config.Active, State: string(up.State),
			Announced: up.Announce.Note(up.State),
			Rollout:   100, IPv4: up.Families.IPv4, IPv6: up.Families.IPv6, Canonical: up.Canonical,
		})
	}
	for i := range opt.Candidates {
		change(&opt.Candidates[i])
	}
	for _, p := range cfg.Route.Pins {
		opt.Pins = append(opt.Pins, route.Pin(p))
	}
	return route.New(opt)
}
