package proxy

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"ociproxy/internal/clientip"
	"ociproxy/internal/config"
	"ociproxy/internal/existence"
	"ociproxy/internal/health"
	"ociproxy/internal/inventory"
	"ociproxy/internal/metrics"
	"ociproxy/internal/probeid"
	"ociproxy/internal/ranges"
	"ociproxy/internal/route"
	"ociproxy/internal/set"
	"ociproxy/internal/snapshot"
)

// wiring is everything that one configuration provides and a request needs. It is immutable once published.
type wiring struct {
	cfg  *config.Config // as announced dates and overrides make it at present
	file *config.Config // as it was loaded
	from provenance
	// loaded is when file was loaded.
	loaded time.Time
	present
	snapshot *route.Snapshot
	address  *clientip.Extractor
	ranges   *ranges.Ranges
	flows    *metrics.FlowTable
	quotas   []*quota        // by candidate; nil: no limit
	lags     []time.Duration // by candidate; nil: no replica is ever behind
	all      set.Set
	index    map[string]int // candidates by name
	samples  []*samples     // by candidate
	places   places         // by ranking
	health   *health.View
	live     *inventory.Live          // what the inventories say
	doubts   *existence.Doubts        // where inventories were wrong
	names    map[string]*registryName // by host
	probes   *probeid.Keys            // nil: probe identities are ignored
	// deniedTags has the contents that no tag may point to; nil: every tag may be served.
	deniedTags map[uint64]struct{}
	lists      *published // what names that the config does not list publish
	named      *named
}

// named is what the files hold that a configuration names. It is immutable. They are read when the configuration is
// loaded, and not again for a date or an override: what must hold now does not wait until a broken file is repaired.
type named struct {
	latency route.Matrix
	signed  *document    // nil: no signed list
	certs   *certificate // nil: no TLS
}

// readNamed reads the files that cfg names, except the address ranges.
func readNamed(cfg *config.Config) (*named, error) {
	n := new(named)
	var err error
	if n.latency, err = snapshot.Latency(cfg); err != nil {
		return nil, err
	}
	if n.signed, err = signedList(cfg); err != nil {
		return nil, err
	}
	if cfg.TLS.Enabled() {
		if n.certs, err = loadCertificate(cfg.TLS); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// wire builds a wiring of cfg and of the files that it names.
func (s *Server) wire(cfg *config.Config, old *wiring) (*wiring, error) {
	files, err := readNamed(cfg)
	if err != nil {
		return nil, err
	}
	return s.build(cfg, files, old)
}

// build makes a wiring of cfg at the present time. It carries over what did not change since old (address ranges, quotas).
func (s *Server) build(cfg *config.Config, files *named, old *wiring) (*wiring, error) {
	w := &wiring{file: cfg, named: files, present: s.at(cfg, time.Now())}
	w.cfg = w.present.config()
	cfg = w.cfg
	var err error
	if w.address, err = clientip.New(cfg.Client.Rule()); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if w.snapshot, err = snapshot.With(cfg, files.latency, w.present.change); err != nil {
		return nil, err
	}
	if err = s.compileNames(w, old); err != nil {
		return nil, err
	}
	located := ranges.Options{Logger: s.log, Client: s.client}
	if old != nil {
		located.Previous = old.ranges
	}
	if old != nil && reflect.DeepEqual(old.cfg.Ranges, cfg.Ranges) && reflect.DeepEqual(old.cfg.Places, cfg.Places) {
		w.ranges = old.ranges
	} else if w.ranges, err = ranges.New(cfg.Ranges, cfg.Map(), located); err != nil {
		return nil, err
	}
	w.probes = probeKeys(cfg, old)
	w.all = w.snapshot.All()
	w.index = make(map[string]int, len(w.snapshot.Candidates))
	for i, c := range w.snapshot.Candidates {
		w.index[c.Name] = i
	}
	w.samples = w.carrySamples(old)
	w.doubts = existence.NewDoubts()
	if old != nil {
		w.doubts = old.doubts.Moved(func(i int) (int, bool) { return w.same(&old.snapshot.Candidates[i]) })
	}
	w.deniedTags = contentsOf(cfg.Deny.Digests)
	w.places = make(places, len(w.snapshot.Places()))
	w.quotas = quotas(cfg, w.snapshot, old)
	w.lags = lags(cfg, w.snapshot)
	w.flows = s.flowTable(w.snapshot)
	w.from, w.loaded = s.from, time.Now()
	if old != nil && old.file == w.file {
		w.from, w.loaded = old.from, old.loaded // the newest that was tried may be another one
	}
	return w, nil
}

func (s *Server) flowTable(snap *route.Snapshot) *metrics.FlowTable {
	places := snap.Places()
	reasons := route.Reasons()
	return s.metrics.FlowTable(len(places), len(snap.Candidates), len(reasons), func(p, c, r int) metrics.FlowKey {
		return metrics.FlowKey{
			Cloud: places[p].Cloud, Region: places[p].Region,
			Candidate: snap.Candidates[c].Name, Reason: reasons[r].String(),
		}
	})
}

// misfit is a fault of something that a configuration names, such as a file, not of the configuration's own text.
type misfit struct{ error }

func (m misfit) Unwrap() error { return m.error }

// reload loads the configuration again. A bad file changes nothing. The error is a misfit when the text is right and
// something that it names is not.
func (s *Server) reload() error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	old := s.wiring.Load()
	next, err := s.wire(cfg, old)
	if err != nil {
		return misfit{err}
	}
	changed := next.snapshot.Changed(old.snapshot)
	if err := s.publish(next); err != nil {
		return err
	}
	s.source.loaded(nil)
	s.metrics.Reloaded(true)
	s.refusing.Store(false)
	s.log.Info("configuration reloaded", "hash", cfg.Hash, "generation", s.from.generation, "candidates_changed", snapshot.Differ(cfg, old.file),
		"places_moved", len(changed), "moves", changed[:min(len(changed), 20)])
	if keys := s.needRestart(cfg); len(keys) > 0 {
		s.log.Warn("restart the server to use the new values of these keys", "keys", keys)
	}
	s.settled(cfg)
	return nil
}

// same returns the candidate of w that is the same as c: same name and same origin.
func (w *wiring) same(c *route.Candidate) (int, bool) {
	i, ok := w.index[c.Name]
	return i, ok && w.snapshot.Candidates[i].Origin == c.Origin
}

// forgetRemoved drops the series of candidates that a reload removed, and makes room for those of the new ones.
func (s *Server) forgetRemoved(old, w *wiring) {
	s.metrics.SetCandidates(len(w.snapshot.Candidates))
	if old == nil {
		return
	}
	for name := range old.index {
		if _, stays := w.index[name]; !stays {
			s.metrics.ForgetCandidate(name)
		}
	}
	stays := map[string]bool{}
	for i := range w.cfg.Names {
		stays[w.cfg.Names[i].Hosts[0]] = true
	}
	for i := range old.cfg.Names {
		if host := old.cfg.Names[i].Hosts[0]; !stays[host] {
			s.metrics.ForgetName(host)
		}
	}
}

func (s *Server) refused(err error) {
	s.source.loaded(err)
	s.metrics.Reloaded(false)
	why := err.Error()
	s.refusal.Store(&why)
	s.refusing.Store(true)
	s.log.Error("configuration refused, the old one stays in use", "error", why)
}

// The keys of the addresses to listen on.
const keyListen, keyAdmin = "listen", "admin.listen"

// restartKeys returns the keys that are read at the start only and differ between a, the configuration of the start,
// and b.
func restartKeys(a, b *config.Config) []string {
	pa, pb := a.Client.Rule(), b.Client.Rule()
	var keys []string
	for _, k := range []struct {
		name    string
		differs bool
	}{
		{keyListen, a.Listen != b.Listen},
		{keyAdmin, a.Admin.Listen != b.Admin.Listen},
		{"tls", a.TLS.Enabled() != b.TLS.Enabled()},
		{"tls.minVersion", a.TLS.MinVersion != b.TLS.MinVersion},
		{"ranges.cache", inventoryDir(a) != inventoryDir(b)},
		{"limits", a.Limits != b.Limits},
		{"health", a.Health != b.Health},
		{"client.behind", pa.ProxyProtocol != pb.ProxyProtocol || pb.ProxyProtocol && !slices.Equal(pa.Trusted, pb.Trusted)},
	} {
		if k.differs {
			keys = append(keys, k.name)
		}
	}
	return keys
}
