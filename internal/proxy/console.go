package proxy

import (
	"context"
	"os"
	"strings"
	"time"

	"ociproxy/internal/console/record"
	"ociproxy/internal/console/routing"
	"ociproxy/internal/console/view"
	"ociproxy/internal/health"
	"ociproxy/internal/inventory"
	"ociproxy/internal/metrics"
	"ociproxy/internal/override"
	"ociproxy/internal/ranges"
	"ociproxy/internal/wait"
)

// The ages from which the console calls something a problem: the alerts' (deploy/prometheus/alerts.yaml).
const (
	feedFailing = 12 * time.Hour
	feedOld     = 14 * 24 * time.Hour
	// inventoryFailing is for how long a refresh may fail before a stale inventory is near.
	inventoryFailing = 15 * time.Minute
	// warmUp is how long after the start feeds and inventories may be missing.
	warmUp = time.Minute
	// hashDigits of a config's hash are shown.
	hashDigits = 12
)

// look takes samples for the console until ctx is done.
func (s *Server) look(ctx context.Context) {
	for now := range wait.Every(ctx, record.Every) {
		s.observe(now)
	}
}

// observe takes one sample. One goroutine at a time calls it.
func (s *Server) observe(now time.Time) {
	w := s.wiring.Load()
	if !s.facts.Are(w.snapshot) {
		s.facts = routing.Of(w.cfg.Map(), w.snapshot)
	}
	sample := &record.Sample{
		View:   *s.seenAt(w, now),
		Counts: map[record.Way]record.Count{},
		Spot:   s.facts.Spot, Canonical: s.facts.Canonical,
	}
	s.metrics.Flows(func(k metrics.FlowKey, c metrics.Counted) {
		way := record.Way{From: routing.Name(k.Cloud, k.Region), To: k.Candidate}
		sum := sample.Counts[way] // of all reasons
		sample.Counts[way] = record.Count{Redirects: sum.Redirects + c.Redirects, Bytes: sum.Bytes + c.Bytes, Dollars: sum.Dollars + c.Dollars}
	})
	sample.Requests, sample.Errors = s.metrics.Answered(classNames[classProbe])
	for i := range w.effect.Holding {
		sample.Holding = append(sample.Holding, override.Say(&w.effect.Holding[i]))
	}
	s.recorder.Observe(sample)
}

// seenAt returns what is so at a time, as far as no history is needed for it.
func (s *Server) seenAt(w *wiring, now time.Time) *view.View {
	name, _ := os.Hostname()
	v := &view.View{At: now, Name: name, Serving: s.serving(), Config: s.shownConfig(w), Docs: w.cfg.Admin.Docs}
	if v.Docs != "" && !strings.HasSuffix(v.Docs, "/") {
		v.Docs += "/"
	}
	problem := func(l view.Level, runbook, text string) {
		v.Problems = append(v.Problems, view.Problem{Level: l, Text: view.Bounded(text), Runbook: runbook})
	}
	if s.health.Frozen() {
		problem(view.Bad, view.RunbookFrozen, "More than half of the candidates fail together, so none is ejected: look at this server's own network.")
	}
	if from := s.fallback.Load(); from != nil {
		problem(view.Warning, view.RunbookFallback, "This server started on a fallback, "+from.File+".")
	}
	if p := s.opt.Publication; p != nil {
		for document, err := range p.State().Faults {
			problem(view.Warning, view.RunbookPublication, "The publication's document "+document+" is not believed: "+err.Error())
		}
	}
	for i := range w.effect.Holding {
		o := &w.effect.Holding[i]
		if why := w.effect.Refused[o.ID]; why != "" {
			problem(view.Warning, view.RunbookRefused, "An override does not fit this config: "+override.Say(o)+": "+why)
		} else if !o.Until.IsZero() && o.Until.Sub(now) < endsSoon && o.Until.Sub(o.From) > endsSoon {
			problem(view.Warning, view.RunbookOverride, "An override ends soon: "+override.Say(o))
		}
	}
	v.Candidates = s.shownCandidates(w, now)
	for _, f := range w.ranges.Status() {
		v.Feeds = append(v.Feeds, s.shownFeed(&f, now))
	}
	return v
}

func (s *Server) serving() view.Serving {
	out := view.Serving{Text: "serving", Ready: 1, Instances: 1, Version: s.opt.Version, Started: s.started,
		Connections: int(metrics.Read(s.metrics.Connections)), MaxConnections: int(metrics.Read(s.metrics.MaxConnections))}
	switch {
	case s.draining.Load():
		out.Level, out.Text, out.Ready = view.Warning, "draining", 0
	case !s.ready():
		out.Level, out.Text, out.Ready = view.Warning, "starting: reads the inventories", 0
	}
	return out
}

func (s *Server) shownConfig(w *wiring) view.Config {
	c := view.Config{Hash: w.cfg.Hash[:min(hashDigits, len(w.cfg.Hash))], Hashes: 1, Loaded: w.loaded, From: s.source.String()}
	if p := s.opt.Publication; p != nil {
		c.From = "generation " + w.from.String() + " of the ring " + p.Ring() + " of " + p.String()
	}
	if from := s.fallback.Load(); from != nil {
		c.Level, c.From = view.Warning, "the fallback "+from.File
	}
	if why := s.refusal.Load(); why != nil && s.refusing.Load() {
		c.Level, c.Refused = view.Warning, *why
	}
	return c
}

func (s *Server) shownCandidates(w *wiring, now time.Time) []view.Candidate {
	out, health := s.facts.Candidates(), s.healthByName()
	for i := range out {
		c, shown := &w.snapshot.Candidates[i], &out[i]
		st, known := health[c.Name]
		switch {
		case !c.Active, !known:
		case !st.Usable && st.State == "joining":
			shown.State, shown.Since, shown.Why = view.Joining, st.Since, st.LastError
		case !st.Usable:
			shown.State, shown.Since, shown.Why, shown.Out = view.Out, st.Since, st.LastError, 1
		case c.Returning != "":
			shown.State, shown.Why = view.Returning, c.Returning
		default:
			shown.State, shown.Since = view.In, st.Since
		}
	}
	s.addInventories(w, out, now)
	return out
}

func (s *Server) healthByName() map[string]*health.Status {
	byName := map[string]*health.Status{}
	list := s.health.Status()
	for i := range list {
		byName[list[i].Name] = &list[i]
	}
	return byName
}

// addInventories adds to each store what is known of its inventory.
func (s *Server) addInventories(w *wiring, to []view.Candidate, now time.Time) {
	demoted, all := w.doubts.Demoted(), w.live.View().Table.Len()
	for _, st := range s.inventories.Statuses() {
		i, ok := w.index[st.Store]
		if !ok {
			continue
		}
		n := &view.Inventory{State: st.State.String(), Age: -1, Held: st.Held, All: all}
		if !st.WrittenAt.IsZero() {
			n.Age = max(0, now.Sub(st.WrittenAt))
		}
		if st.LastError != nil {
			n.Error = st.LastError.Error()
		}
		switch {
		case st.State == inventory.Loading && now.Sub(s.started) < warmUp:
		case st.State != inventory.Current:
			n.Level = view.Warning
		case demoted.Has(i):
			n.State, n.Level = "doubted", view.Warning
		case n.Error != "" && now.Sub(st.ErrorSince) > inventoryFailing:
			n.Level = view.Warning
		}
		to[i].Inventory = n
	}
}

func (s *Server) shownFeed(f *ranges.FeedStatus, now time.Time) view.Feed {
	out := view.Feed{Name: f.Name, Age: f.Age, Prefixes: f.Rows, Error: f.LastError}
	switch {
	case f.LastGood.IsZero():
		out.Age = -1
		if now.Sub(s.started) > warmUp || f.LastError != "" {
			out.Level = view.Unknown
		}
	case f.Age > feedOld, f.LastError != "" && f.Age > feedFailing:
		out.Level = view.Warning
	}
	return out
}
