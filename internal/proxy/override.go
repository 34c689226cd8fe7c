package proxy

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/existence"
	"ociproxy/internal/metrics"
	"ociproxy/internal/override"
	"ociproxy/internal/publication"
	"ociproxy/internal/route"
)

const (
	// returnCheck is how often the proxy looks at the probes of candidates that come back after an override.
	returnCheck = 5 * time.Second
	// endsSoon is how long before its end an override is announced in the log.
	endsSoon = 30 * time.Minute
)

// SetOverrides replaces the overrides; nil: there are none. The caller has verified them, and changes them no more.
// They are in effect soon after, and stay through reloads. Any goroutine may call it.
func (s *Server) SetOverrides(o *publication.Overrides) {
	s.overrides.Store(o)
	select {
	case s.changed <- struct{}{}:
	default: // the loading goroutine has not yet seen the last change, and will see this one too
	}
}

// present is what dates and overrides make of a configuration at one time. It is immutable.
type present struct {
	effect    override.Effect
	returning []override.Return // candidates that an override kept out until lately
}

// at returns what holds of cfg at a time. Only the loading goroutine calls it.
func (s *Server) at(cfg *config.Config, now time.Time) present {
	o := s.overrides.Load()
	p := present{effect: override.Apply(cfg.At(now), o, now)}
	s.returns.Follow(&p.effect, o, now)
	p.returning = s.returns.List()
	s.returning.Store(&p.returning)
	return p
}

// config returns the configuration as it works.
func (p *present) config() *config.Config {
	if len(p.returning) == 0 {
		return p.effect.Config
	}
	return override.Hold(p.effect.Config, p.returning)
}

// same reports whether a wiring of p and one of old decide alike, if dates changed nothing.
func (p *present) same(old *present) bool {
	return p.effect.Equal(&old.effect) && slices.EqualFunc(p.returning, old.returning, func(a, b override.Return) bool {
		return a.Name == b.Name && a.Percent == b.Percent
	})
}

// change limits a candidate that comes back, and says why one gets no clients.
func (p *present) change(c *route.Candidate) {
	if why := p.effect.Out[c.Name]; why != "" {
		c.Announced = why
	}
	for i := range p.returning {
		if b := &p.returning[i]; b.Name == c.Name {
			c.Announced, c.Returning = b.Text(), b.Text()
			c.Rollout = min(c.Rollout, b.Percent)
		}
	}
}

// watched reports whether a candidate that is not active must be probed all the same, because it may come back.
func (p *present) watched(name string) bool { return p.effect.Out[name] != "" || p.returns(name) }

// returns reports whether a candidate comes back.
func (p *present) returns(name string) bool {
	return slices.ContainsFunc(p.returning, func(b override.Return) bool { return b.Name == name })
}

// judgeReturns moves the candidates that come back, by what the probes of w have shown.
func (s *Server) judgeReturns(w *wiring, now time.Time) {
	usable := w.health.Usable()
	for _, b := range s.returns.List() {
		i, ok := w.index[b.Name]
		if !ok {
			continue
		}
		var p override.Proof
		p.Good, p.Fails, p.Blank, p.Complete = w.health.Proof(i)
		p.Usable = usable.Has(i)
		switch from, to := s.returns.Judge(b.Name, p, now); {
		case to > from:
			s.log.Info("a candidate comes back after an override", "candidate", b.Name, "percent", to)
		case to < from:
			s.log.Warn("a candidate that came back after an override fails again: no client is sent there", "candidate", b.Name,
				"percent", from, "error", s.lastError(b.Name))
		}
	}
}

// lastError returns the last error of a candidate's probes.
func (s *Server) lastError(name string) string {
	for _, st := range s.health.Status() {
		if st.Name == name {
			return st.LastError
		}
	}
	return ""
}

// warnEnds announces in the log, once each, the overrides that end soon. One that was short from the beginning needs
// no announcement.
func (s *Server) warnEnds(p *present, now time.Time) {
	holding := map[string]bool{}
	for i := range p.effect.Holding {
		o := &p.effect.Holding[i]
		holding[o.ID] = true
		if o.Until.IsZero() || o.Until.Sub(now) > endsSoon || o.Until.Sub(o.From) <= endsSoon || s.warned[o.ID].Equal(o.Until) {
			continue
		}
		s.warned[o.ID] = o.Until
		s.log.Warn("an override ends soon: extend it, or change the config, if it must stay", "override", override.Say(o))
	}
	for id := range s.warned {
		if !holding[id] {
			delete(s.warned, id)
		}
	}
}

// noteOverrides logs which overrides hold in w and did not in old, or the other way around.
func (s *Server) noteOverrides(old, w *wiring) {
	was := map[string]string{}
	var refused map[string]string
	if old != nil {
		refused = old.effect.Refused
		for i := range old.effect.Holding {
			was[override.Say(&old.effect.Holding[i])] = old.effect.Holding[i].ID
		}
	}
	for i := range w.effect.Holding {
		o := &w.effect.Holding[i]
		text, why := override.Say(o), w.effect.Refused[o.ID]
		_, known := was[text]
		delete(was, text)
		switch {
		case why != "" && (!known || refused[o.ID] != why):
			s.log.Error("an override does not fit this config", "override", text, "error", why)
		case why == "" && (!known || refused[o.ID] != ""):
			s.log.Warn("an override holds", "override", text)
		}
	}
	for text := range was {
		s.log.Info("an override has ended", "override", text)
	}
}

// ShownOverride is an override as the admin port and explanations show it. Its JSON form is an interface: fields are
// only added.
type ShownOverride struct {
	publication.Override
	// State is `holds`, `refused` (a part or all of it does not fit the config) or `ended`.
	State string `json:"state"`
	// Refused says why it is refused.
	Refused string `json:"refused,omitempty"`
	// Text describes it in one line.
	Text string `json:"text"`
}

// ShownReturn is a candidate that comes back after an override.
type ShownReturn struct {
	Candidate string `json:"candidate"`
	// Percent of the client networks may be sent there.
	Percent int       `json:"percent"`
	Since   time.Time `json:"since"`
	// Waiting says what it waits for, beside time.
	Waiting string `json:"waiting,omitempty"`
}

// ShownOverrides is the answer of /overrides.
type ShownOverrides struct {
	// Generation and SignedAt are those of the document; 0 and missing: there is none.
	Generation uint64          `json:"generation"`
	SignedAt   time.Time       `json:"signedAt,omitzero"`
	Overrides  []ShownOverride `json:"overrides"`
	Returning  []ShownReturn   `json:"returning"`
}

func (w *wiring) shown(o *publication.Override) ShownOverride {
	out := ShownOverride{Override: *o, State: "ended", Text: override.Say(o)}
	for i := range w.effect.Holding {
		if w.effect.Holding[i].ID == o.ID {
			out.State = "holds"
		}
	}
	if out.Refused = w.effect.Refused[o.ID]; out.Refused != "" {
		out.State = "refused"
	}
	return out
}

func (s *Server) showOverrides() *ShownOverrides {
	w := s.wiring.Load()
	out := &ShownOverrides{Overrides: []ShownOverride{}, Returning: []ShownReturn{}}
	if o := s.overrides.Load(); o != nil {
		out.Generation, out.SignedAt = o.Generation, o.SignedAt
		for i := range o.Overrides {
			out.Overrides = append(out.Overrides, w.shown(&o.Overrides[i]))
		}
	}
	for _, b := range *s.returning.Load() {
		out.Returning = append(out.Returning, ShownReturn{b.Name, b.Percent, b.Since.UTC(), b.Waiting})
	}
	return out
}

func (s *Server) serveOverrides(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(rw)
	enc.SetIndent("", "  ")
	_ = enc.Encode(s.showOverrides())
}

// observeOverrides copies what holds into the metrics.
func (s *Server) observeOverrides(w *wiring) {
	s.metrics.ResetOverrides()
	room := metrics.MaxOverrides
	for _, ends := range []bool{true, false} { // those that end by themselves first: there may be many of `deny`
		for i := range w.effect.Holding {
			if o := &w.effect.Holding[i]; room > 0 && ends != o.Until.IsZero() {
				s.metrics.ObserveOverride(o.ID, string(o.Action), o.Candidate, o.By, o.Until, w.effect.Refused[o.ID] != "")
				room--
			}
		}
	}
	for _, b := range w.returning {
		s.metrics.Returning.WithLabelValues(b.Name).Set(float64(b.Percent))
	}
}

// overridden adds the overrides that concern the candidates, the client or the request of an explanation.
func (e *Explanation) overridden(w *wiring, q *request, d *decision) {
	for i := range w.effect.Holding {
		o := &w.effect.Holding[i]
		concerns := false
		switch o.Action {
		case publication.Off, publication.Drain:
			concerns = true
		case publication.Pin:
			prefix, err := netip.ParsePrefix(o.CIDR)
			concerns = o.Cloud != "" && o.Cloud == q.client.Place.Cloud || err == nil && prefix.Contains(q.client.Addr)
		case publication.Deny:
			concerns = d.Action == route.Deny && (o.Repository != "" && o.Repository == q.Name ||
				o.Digest != "" && (o.Digest == q.Digest.String() || d.tag == tagDenied && existence.ContentOf(o.Digest) == d.tagHas))
		}
		if !concerns {
			continue
		}
		shown := w.shown(o)
		e.Overrides = append(e.Overrides, shown)
		note := shown.Text
		if shown.Refused != "" {
			note += "; it does not fit this config: " + shown.Refused
		}
		e.Notes = append(e.Notes, note)
	}
	at := ""
	if d.tag != tagUnasked {
		at = w.snapshot.Candidates[d.tagAt].Name
	}
	switch d.tag {
	case tagDenied:
		e.Notes = append(e.Notes, "the tag points to a denied digest at "+at)
	case tagUnknown:
		e.Notes = append(e.Notes, "some digest is denied, and "+at+" did not say what this tag points to: the tag is served")
	case tagUnasked, tagFine:
	}
}
