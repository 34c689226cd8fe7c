package report

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/route"
	"ociproxy/internal/traffic"
)

// leftKey is a kind of bytes that crossed a cloud's border.
type leftKey struct {
	cloud, from, store, reason string
}

type leftSum struct {
	sum
	instead float64
}

// leave notes the bytes of a row that crossed the border of the client's cloud although a store there is configured and
// would have been cheaper.
func (s *sums) leave(r *traffic.Row, one *sum) {
	from, client := s.w.known[r.Store], s.w.clientOf(r)
	if client.IsZero() || r.Bytes <= 0 || s.w.home(from, client) {
		return
	}
	best, instead := s.best(client, r)
	if best == nil || instead >= one.usd {
		return
	}
	key := leftKey{client.Cloud, r.Store, best.name, s.w.reasonOf(r.Reason, best, client)}
	l := s.left[key]
	if l == nil {
		l = &leftSum{}
		s.left[key] = l
	}
	l.add(one)
	l.instead += instead
}

// best returns the store of the client's cloud that would have been cheapest for a row, the nearest among equals, and its
// cost; nil: there is none. A store in service is better than a cheaper one that is not.
func (s *sums) best(client place.Place, r *traffic.Row) (best *candidate, usd float64) {
	b, spot := s.bills[monthOf(r.Day)], s.w.spot(client)
	rank := func(c *candidate) [3]float64 {
		m := s.w.meters(lane{c.name, client, traffic.Client, r.Operation})
		cost := r.Bytes*s.w.rate(b, m.bytes, false) + r.Requests*s.w.rate(b, m.requests, false)
		idle := 0.0
		if c.store.State != config.Active || !c.serve(client.Cloud) {
			idle = 1
		}
		return [3]float64{idle, cost, s.w.places.RTT(spot, s.w.spot(c.at))}
	}
	least := [3]float64{math.Inf(1)}
	for _, c := range s.w.list {
		if c.store == nil || !s.w.home(c, client) {
			continue
		}
		if is := rank(c); slices.Compare(is[:], least[:]) < 0 {
			best, least = c, is
		}
	}
	return best, least[1]
}

// Reasons beside those of the proxy, which say what the config has against a store.
const (
	notActive = "not-active" // its state is not active
	unlisted  = "unlisted"   // it does not serve the clients' cloud
	ranked    = "ranked"     // the proxy ranked another one higher
	unsaid    = "not-said"   // no source of the proxy tells the reason
)

// reasonOf returns the reason why the best store did not serve: the proxy's, unless the config tells more.
func (w *world) reasonOf(reason string, best *candidate, client place.Place) string {
	switch {
	case best.store.State != config.Active:
		return notActive
	case !best.serve(client.Cloud):
		return unlisted
	case reason == "":
		return unsaid
	case reason == route.Nearest.String():
		return ranked
	case slices.ContainsFunc(route.Reasons(), func(r route.Reason) bool { return r.String() == reason }):
		return reason
	}
	return unsaid // not a reason of the proxy: a log is untrusted
}

// remedies say for each reason why the store did not serve, and which command repairs it or tells more. {config} is the flag
// with the config, {store} the store, {cloud} the clients' cloud.
var remedies = map[string][2]string{
	route.Absent.String():        {"the store did not have the blobs", "oci-proxyctl mirror {config} --store {store}"},
	route.Unhealthy.String():     {"the proxy had taken the store out of service", "oci-proxyctl store show {config} {store}"},
	route.Unchecked.String():     {"the proxy did not find out in time whether the store had the blobs: give it an inventory", "oci-proxyctl inventory rebuild {config} --store {store}"},
	route.Unreachable.String():   {"the store has no address of the clients' family", "oci-proxyctl store show {config} {store}"},
	route.RollingOut.String():    {"the store takes only a share of the clients", "oci-proxyctl store set {config} {store} --rollout 100"},
	route.Pinned.String():        {"a pin sends these clients elsewhere: route.pin in the config, or an override", "oci-proxyctl store overrides {config}"},
	route.Retried.String():       {"clients asked again for what the store had just been asked: they may not get through to it", "oci-proxyctl store show {config} {store}"},
	route.Stayed.String():        {"another candidate may have been behind with a tag: lag in the config", "oci-proxyctl store ls {config}"},
	route.CanonicalOnly.String(): {"only canonical answers this kind of request", "oci-proxyctl store ls {config}"},
	route.LastResort.String():    {"no store could answer", "oci-proxyctl audit {config} --store {store}"},
	notActive:                    {"the state of the store is not active", "oci-proxyctl store set {config} {store} --state active"},
	unlisted:                     {"the store does not serve this cloud: add {cloud} to its serves in the config", "oci-proxyctl store show {config} {store}"},
	ranked:                       {"the proxy ranks by round trip and price, and another one came first: raise route.costWeight", "oci-proxyctl store show {config} {store}"},
	unsaid:                       {"logs of stores do not tell the reason: give the proxy's log or --prometheus", "oci-proxyctl report {config} --prometheus URL"},
}

// left lists the money left on the table, the most first.
func (s *sums) leftList() []Left {
	out := []Left{}
	words := func(k leftKey) *strings.Replacer {
		return strings.NewReplacer("{config}", "--config "+quoted(s.w.in.File), "{store}", quoted(k.store), "{cloud}", k.cloud)
	}
	for k, l := range s.left {
		remedy := remedies[k.reason]
		out = append(out, Left{
			Cloud: k.cloud, From: k.from, Store: k.store, Reason: k.reason, Sum: l.done(), Instead: l.instead,
			Why: words(k).Replace(remedy[0]), Remedy: words(k).Replace(remedy[1]),
		})
	}
	slices.SortFunc(out, func(a, b Left) int {
		return cmp.Or(cmp.Compare(b.USD-b.Instead, a.USD-a.Instead), strings.Compare(a.Cloud, b.Cloud),
			strings.Compare(a.From, b.From), strings.Compare(a.Reason, b.Reason))
	})
	return out
}

// quoted returns text as one word of a shell.
func quoted(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+=@%,", r))
	}) {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return text
}
