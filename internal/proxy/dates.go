package proxy

import (
	"slices"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/override"
)

// clockCheck is how often the proxy compares announced dates with the clock: timers do not notice that a clock was set.
const clockCheck = time.Minute

// noDates is how long the proxy waits where nothing is announced. A reload ends this.
const noDates = 24 * time.Hour

// untilDate returns how long to wait before announced dates, overrides or probes may change the state of a candidate.
func (s *Server) untilDate() time.Duration {
	w := s.wiring.Load()
	if len(w.returning) > 0 || s.behind {
		return returnCheck
	}
	cfg, o, now := w.file, s.overrides.Load(), time.Now()
	if cfg.NextDate(time.Time{}).IsZero() && override.Next(o, time.Time{}).IsZero() {
		return noDates
	}
	left := clockCheck
	for _, next := range []time.Time{cfg.NextDate(now), override.Next(o, now)} {
		if !next.IsZero() {
			left = min(left, next.Sub(now))
		}
	}
	return left
}

// follow makes a new wiring of the configuration in use when announced dates, overrides or the probes of a candidate
// that comes back have changed what holds. Only the loading goroutine calls it.
func (s *Server) follow() {
	old, now := s.wiring.Load(), time.Now()
	s.judgeReturns(old, now)
	is := s.at(old.file, now)
	s.warnEnds(&is, now)
	changed := moved(old.cfg, is.config())
	overridden := !is.same(&old.present)
	s.behind = false
	if len(changed) == 0 && !overridden {
		return
	}
	next, err := s.build(old.file, old.named, old)
	if err == nil {
		err = s.publish(next)
	}
	switch {
	case err != nil && overridden:
		s.behind = true
		s.log.Error("overrides have changed, and they are not followed yet", "candidates", changed, "retry", returnCheck.String(), "error", err.Error())
	case err != nil:
		s.log.Error("the announced date of a candidate has come, and it is not followed yet", "candidates", changed, "retry", clockCheck.String(), "error", err.Error())
	case overridden:
		s.log.Info("overrides have changed", "candidates", changed)
	default:
		s.log.Info("announced dates have come", "candidates", changed)
	}
}

// moved lists the candidates whose states differ: "va: filling → active".
func moved(old, next *config.Config) (out []string) {
	note := func(name string, was, is config.State) {
		if was != is {
			out = append(out, name+": "+string(was)+" → "+string(is))
		}
	}
	for i := range old.Stores {
		note(old.Stores[i].Name, old.Stores[i].State, next.Stores[i].State)
	}
	for i := range old.Upstreams {
		note(old.Upstreams[i].Name, old.Upstreams[i].State, next.Upstreams[i].State)
	}
	return slices.Clip(out)
}
