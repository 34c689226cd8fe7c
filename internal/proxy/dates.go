package proxy

import (
	"slices"
	"time"

	"ociproxy/internal/config"
)

// clockCheck is how often the proxy compares announced dates with the clock: timers do not notice that a clock was set.
const clockCheck = time.Minute

// noDates is how long the proxy waits where nothing is announced. A reload ends this.
const noDates = 24 * time.Hour

// untilDate returns how long to wait before announced dates may change the state of a candidate.
func (s *Server) untilDate() time.Duration {
	cfg := s.wiring.Load().file
	if cfg.NextDate(time.Time{}).IsZero() {
		return noDates
	}
	now := time.Now()
	if next := cfg.NextDate(now); !next.IsZero() {
		return min(next.Sub(now), clockCheck)
	}
	return clockCheck
}

// followDates makes a new wiring of the configuration in use when announced dates have changed the state of a candidate.
// Only the loading goroutine calls it.
func (s *Server) followDates() {
	old := s.wiring.Load()
	changed := moved(old.cfg, old.file.At(time.Now()))
	if len(changed) == 0 {
		return
	}
	next, err := s.build(old.file, old)
	if err == nil {
		err = s.publish(next)
	}
	if err != nil {
		s.log.Error("the announced date of a candidate has come, and it is not followed yet", "candidates", changed, "retry", clockCheck.String(), "error", err.Error())
		return
	}
	s.log.Info("announced dates have come", "candidates", changed)
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
