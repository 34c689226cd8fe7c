package proxy

import (
	"time"

	"golang.org/x/time/rate"

	"ociproxy/internal/config"
	"ociproxy/internal/route"
)

// quota keeps an upstream below its maxRPS. Clients come first: the requests of this process itself (probes, checks
// in the background) take what clients leave. When clients use up a quota, the process still gets a tenth of it, so
// that it finds out when a busy upstream is broken. Nil: no limit. Safe for concurrent use.
type quota struct {
	all  *rate.Limiter
	ours *rate.Limiter // for our own requests when the quota is used up
}

// oursOfTen is the share of a used-up quota that this process takes for itself.
const oursOfTen = 0.1

func newQuota(rps float64) *quota {
	q := &quota{rate.NewLimiter(rate.Limit(rps), max(1, int(rps))), rate.NewLimiter(rate.Limit(rps*oursOfTen), 1)}
	q.ours.Allow() // it must refill first: a probe must not use up a first client's request
	return q
}

// client reports whether the proxy may send a client to the upstream now, or ask it for a client, and counts that.
func (q *quota) client() bool { return q == nil || q.all.Allow() }

// spare reports whether this process may send a request of its own now, and counts it.
func (q *quota) spare() bool {
	if q == nil {
		return true
	}
	if q.all.Tokens() >= 2 { // keep one for the next client
		return q.all.Allow()
	}
	return q.ours.Allow() && q.all.ReserveN(time.Now(), 1).OK()
}

// quotas keeps the quotas of upstreams whose maxRPS did not change, so that a reload grants no burst.
func quotas(cfg *config.Config, snap *route.Snapshot, old *wiring) []*quota {
	rps := map[string]float64{}
	for _, up := range cfg.Upstreams {
		rps[up.Name] = up.MaxRPS
	}
	kept := map[string]*quota{}
	if old != nil {
		for i, q := range old.quotas {
			kept[old.snapshot.Candidates[i].Name] = q
		}
	}
	out := make([]*quota, len(snap.Candidates))
	for i := range snap.Candidates {
		name := snap.Candidates[i].Name
		if rps[name] <= 0 {
			continue
		}
		if q := kept[name]; q != nil && q.all.Limit() == rate.Limit(rps[name]) {
			out[i] = q
			continue
		}
		out[i] = newQuota(rps[name])
	}
	return out
}
