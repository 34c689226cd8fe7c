package metrics

import (
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"ociproxy/internal/oci"
	"time"
)

// An instance stays below maxSeries whatever the clients do: what its configuration and the fixed metrics do
// not need is left to flows, the (cloud, region, candidate, reason) combinations. The rest is counted together.
const (
	maxSeries       = 5000
	fixedSeries     = 500 // requests, histograms, feeds, the Go runtime and the process
	candidateSeries = 20  // checks, probes, relays and gauges of one candidate, and "other" flows
	flowSeries      = 3
	maxNames        = 20 // of the registry, whose limits are counted one by one
)

// Codes are the statuses the server answers with.
var Codes = []int{200, 307, 400, 403, 404, 405, 429, 500, 502, 503}

// Metrics holds all metrics of one server. Safe for concurrent use.
type Metrics struct {
	Registry *prometheus.Registry

	// Decision is how long parsing, locating and deciding took, in seconds, checks included.
	Decision prometheus.Histogram
	// Address counts requests by where the client's address came from.
	Address *prometheus.CounterVec
	// Checks counts existence checks by candidate and result.
	Checks *prometheus.CounterVec
	// CheckDuration is how long they took, in seconds.
	CheckDuration prometheus.Histogram
	// InventoryDigests and InventoryBytes are the size of the union table; InventoryDenied counts the digests
	// that stores were found to lack against their inventory.
	InventoryDigests, InventoryBytes, InventoryDenied prometheus.Gauge
	// Probes counts health probes by candidate and result.
	Probes *prometheus.CounterVec
	// ProbeDuration is how long they took, in seconds.
	ProbeDuration prometheus.Histogram
	// Usable is 1 for each candidate in service.
	Usable *prometheus.GaugeVec
	// Frozen is 1 while more than half of the candidates fail together and nobody is ejected.
	Frozen prometheus.Gauge
	// Retries counts downloads of addresses that asked again and were sent past a candidate, by that candidate.
	Retries *prometheus.CounterVec
	// Paths counts what was learnt of client addresses and their ways to the nearest candidate, by event.
	Paths *prometheus.CounterVec
	// Unexplained is how many client addresses do not get through to a candidate that looks fine from here.
	Unexplained *prometheus.GaugeVec
	// ExistenceEntries is how many answers are remembered.
	ExistenceEntries prometheus.Gauge
	// Relays counts relayed tag lists by upstream and result (ok, odd-link, not-found, refused, busy, failed).
	Relays *prometheus.CounterVec
	// Limited counts requests that an upstream's maxRPS refused.
	Limited *prometheus.CounterVec
	// ConfigInfo is 1 for the hash of the configuration in use.
	ConfigInfo *prometheus.GaugeVec
	// ConfigLoaded is when it was loaded, in Unix seconds.
	ConfigLoaded prometheus.Gauge
	// Ready is 1 while /-/ready says 200.
	Ready prometheus.Gauge
	// Connections is the number of open client connections, MaxConnections how many there may be.
	Connections, MaxConnections prometheus.Gauge
	// Crowded counts connections that others had to make room for (displaced) or that found none (refused).
	Crowded *prometheus.CounterVec

	feedAge, feedRows, feedFailing, feedUnplaced, feedSeed        *prometheus.GaugeVec
	inventoryAge, inventoryHeld, inventoryState, inventoryFailing *prometheus.GaugeVec

	configReloads    *prometheus.CounterVec
	configReloadGood prometheus.Gauge

	requests  *prometheus.CounterVec
	redirects *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	cost      *prometheus.CounterVec

	nameLimited *prometheus.CounterVec

	mu       sync.Mutex
	names    map[string]bool // those with a series of nameLimited
	flows    map[FlowKey]*Flow
	maxFlows int
}

// New defines the metrics on a registry of their own.
func New(version string) *Metrics {
	m := &Metrics{Registry: prometheus.NewRegistry(), names: map[string]bool{}, flows: map[FlowKey]*Flow{}, maxFlows: flowsBeside(0)}
	m.Decision = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ociproxy_decision_seconds", Help: "Time to decide where a request goes, existence checks included; one request in 64 is timed.",
		Buckets: []float64{250e-9, 500e-9, 1e-6, 2e-6, 5e-6, 10e-6, 50e-6, 1e-3, 10e-3, 50e-3, 100e-3, 200e-3, 300e-3, 500e-3, 1},
	})
	m.CheckDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ociproxy_existence_check_seconds", Help: "Time of the HEAD requests that ask candidates whether they hold something.",
		Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5},
	})
	m.ProbeDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ociproxy_health_probe_seconds", Help: "Time of the probes that watch candidates with real objects.",
		Buckets: []float64{0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5},
	})
	m.requests = m.counter("ociproxy_requests_total", "Requests by kind and status.", "kind", "code")
	m.redirects = m.counter("ociproxy_redirects_total", "Redirects by the client's cloud and region, candidate and reason.", flowLabels...)
	m.bytes = m.counter("ociproxy_redirected_bytes_total", "Bytes of the blobs redirected to, where the size is known; ranges count with what they span.", flowLabels...)
	m.cost = m.counter("ociproxy_estimated_cost_dollars_total", "Estimated transfer cost in US dollars of those bytes.", flowLabels...)
	m.Address = m.counter("ociproxy_client_address_total", "Requests by where the client's address came from.", "source")
	m.Checks = m.counter("ociproxy_existence_checks_total", "HEAD requests that ask candidates whether they hold something.", "candidate", "result")
	m.inventoryAge = m.gaugeVec("ociproxy_inventory_age_seconds", "Age of each store's inventory since its mirror wrote it.", "candidate")
	m.inventoryHeld = m.gaugeVec("ociproxy_inventory_held_digests", "Digests that each store holds by its inventory.", "candidate")
	m.inventoryState = m.gaugeVec("ociproxy_inventory_state", "1 for the state of each store's inventory: current is believed; loading, stale, gone and doubted are asked by HEAD.", "candidate", "state")
	m.inventoryFailing = m.gaugeVec("ociproxy_inventory_failing", "1 while the last refresh of a store's inventory failed or was refused.", "candidate")
	m.InventoryDigests = m.gauge("ociproxy_inventory_digests", "Digests in the union table of all inventories.")
	m.InventoryBytes = m.gauge("ociproxy_inventory_table_bytes", "Memory of the union table.")
	m.InventoryDenied = m.gauge("ociproxy_inventory_denied_digests", "Digests remembered that a store lacks although its inventory lists them.")
	m.Probes = m.counter("ociproxy_health_probes_total", "Probes that watch candidates with real objects.", "candidate", "result")
	m.Usable = m.gaugeVec("ociproxy_candidate_usable", "1 for each candidate in service, 0 for one that is ejected or not yet proven.", "candidate")
	m.Frozen = m.gauge("ociproxy_health_frozen", "1 while more than half of the candidates fail together, which is our own network: no candidate is ejected.")
	m.Retries = m.counter("ociproxy_retries_total", "Downloads of addresses that asked again, sent past the candidate.", "candidate")
	m.Paths = m.counter("ociproxy_client_paths_total", "What was learnt of client addresses and their way to the nearest candidate: complained, doubted, proven, blocked, stuck.", "event")
	m.Unexplained = m.gaugeVec("ociproxy_unexplained_client_failures", "Client addresses that do not get through to a candidate that looks fine from here.", "candidate")
	m.ExistenceEntries = m.gauge("ociproxy_existence_entries", "Existence answers remembered.")
	m.Relays = m.counter("ociproxy_relays_total", "Tag lists relayed, by upstream and result.", "candidate", "result")
	m.Limited = m.counter("ociproxy_limited_total", "Requests that exceeded an upstream's maxRPS.", "candidate")
	m.nameLimited = m.counter("ociproxy_name_limited_total", "Requests that exceeded the maxRPS of one of the registry's names, by its first host.", "name")
	m.feedAge = m.gaugeVec("ociproxy_feed_age_seconds", "Age of each feed's data since it was last confirmed.", "feed")
	m.feedRows = m.gaugeVec("ociproxy_feed_prefixes", "Prefixes of each feed.", "feed")
	m.feedFailing = m.gaugeVec("ociproxy_feed_failing", "1 while the last refresh of a feed failed or was refused by a guard.", "feed")
	m.feedSeed = m.gaugeVec("ociproxy_feed_seed_timestamp_seconds", "When the file of each feed in ranges.seed was fetched, in use or not.", "feed")
	m.feedUnplaced = m.gaugeVec("ociproxy_feed_unplaced_prefixes", "Prefixes of each feed whose region the map does not know.", "feed")
	m.ConfigInfo = m.gaugeVec("ociproxy_config_info", "1 for the SHA-256 of the configuration in use.", "hash")
	m.ConfigLoaded = m.gauge("ociproxy_config_loaded_timestamp_seconds", "When the configuration in use was loaded.")
	m.configReloads = m.counter("ociproxy_config_reloads_total", "Configuration reloads by result (ok, invalid).", "result")
	for _, result := range []string{"ok", "invalid"} { // so that the first one is an increase
		m.configReloads.WithLabelValues(result)
	}
	m.configReloadGood = m.gauge("ociproxy_config_last_reload_successful",
		"1 while the configuration on disk, as last read, is the one in use; 0 from a refused one until it is repaired.")
	m.configReloadGood.Set(1) // nothing runs without one
	m.Ready = m.gauge("ociproxy_ready", "1 while this instance wants traffic.")
	m.Connections = m.gauge("ociproxy_connections", "Open client connections.")
	m.MaxConnections = m.gauge("ociproxy_connections_max", "Client connections that may be open at once.")
	m.Crowded = m.counter("ociproxy_connections_crowded_total", "Client connections closed for one of a network with fewer (displaced), or refused while all were open.", "result")
	for _, result := range []string{"displaced", "refused"} {
		m.Crowded.WithLabelValues(result)
	}
	info := m.gaugeVec("ociproxy_build_info", "1 for the build in use.", "version", "goversion")
	goversion := ""
	if bi, ok := debug.ReadBuildInfo(); ok {
		goversion = bi.GoVersion
	}
	info.WithLabelValues(version, goversion).Set(1)
	m.Registry.MustRegister(m.Decision, m.CheckDuration, m.ProbeDuration, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.Registry.MustRegister(v)
	return v
}

func (m *Metrics) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.Registry.MustRegister(v)
	return v
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	v := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	m.Registry.MustRegister(v)
	return v
}

// Reloaded notes how a reload of the configuration ended.
func (m *Metrics) Reloaded(ok bool) {
	result := "invalid"
	if ok {
		result = "ok"
	}
	m.configReloads.WithLabelValues(result).Inc()
	m.configReloadGood.Set(flag(ok))
}

// flag is the value of a gauge that says yes or no.
func flag(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// ResetFeeds forgets all feeds, before those of the moment are observed.
func (m *Metrics) ResetFeeds() {
	for _, v := range []*prometheus.GaugeVec{m.feedAge, m.feedRows, m.feedFailing, m.feedUnplaced, m.feedSeed} {
		v.Reset()
	}
}

// ObserveFeed sets the gauges of one feed: the age of its data in seconds, its prefixes, those among them whose region
// the map does not know, and whether the last refresh failed or was refused.
func (m *Metrics) ObserveFeed(name string, age float64, rows, unplaced int, failing bool) {
	m.feedAge.WithLabelValues(name).Set(age)
	m.feedRows.WithLabelValues(name).Set(float64(rows))
	m.feedUnplaced.WithLabelValues(name).Set(float64(unplaced))
	m.feedFailing.WithLabelValues(name).Set(flag(failing))
}

// ObserveSeed sets when the file of one feed in ranges.seed was fetched.
func (m *Metrics) ObserveSeed(name string, fetched time.Time) {
	m.feedSeed.WithLabelValues(name).Set(float64(fetched.Unix()))
}

// ResetInventories forgets all inventories, before those of the moment are observed.
func (m *Metrics) ResetInventories() {
	for _, v := range []*prometheus.GaugeVec{m.inventoryAge, m.inventoryHeld, m.inventoryState, m.inventoryFailing} {
		v.Reset()
	}
}

// ObserveInventory sets the gauges of one store's inventory; age is in seconds.
func (m *Metrics) ObserveInventory(store, state string, age float64, held int, failing bool) {
	m.inventoryAge.WithLabelValues(store).Set(age)
	m.inventoryHeld.WithLabelValues(store).Set(float64(held))
	m.inventoryState.WithLabelValues(store, state).Set(1)
	m.inventoryFailing.WithLabelValues(store).Set(flag(failing))
}

// Requests returns the counters of one request kind, by index into [Codes], so that the request path never
// looks a label up.
func (m *Metrics) Requests(kind string) []prometheus.Counter {
	cs := make([]prometheus.Counter, len(Codes))
	for i, code := range Codes {
		cs[i] = m.requests.WithLabelValues(kind, strconv.Itoa(code))
	}
	return cs
}

// CodeIndex is the position of code in [Codes]; a status that is none of them counts as 500.
func CodeIndex(code int) int {
	for i, c := range Codes {
		if c == code {
			return i
		}
	}
	return codeOther
}

const codeOther = 7 // 500 in Codes

var flowLabels = []string{"cloud", "region", "candidate", "reason"}

// FlowKey names one flow of redirects.
type FlowKey struct{ Cloud, Region, Candidate, Reason string }

func flowsBeside(candidates int) int {
	return max(0, (maxSeries-fixedSeries-candidates*candidateSeries)/flowSeries)
}

// SetCandidates makes room for the series of n candidates.
func (m *Metrics) SetCandidates(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.maxFlows = flowsBeside(n)
}

// ForgetCandidate drops all series of a candidate that is no more.
func (m *Metrics) ForgetCandidate(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.flows {
		if k.Candidate == name {
			delete(m.flows, k)
		}
	}
	labels := prometheus.Labels{"candidate": name}
	for _, v := range []interface{ DeletePartialMatch(prometheus.Labels) int }{
		m.redirects, m.bytes, m.cost, m.Checks, m.Probes, m.Relays, m.Limited, m.Retries, m.Usable, m.Unexplained,
	} {
		v.DeletePartialMatch(labels)
	}
}

// NameLimited counts the requests that were too many for a name of the registry. Beyond a few names they are counted together.
func (m *Metrics) NameLimited(name string) prometheus.Counter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.names[name] {
		if len(m.names) >= maxNames {
			return m.nameLimited.WithLabelValues("other")
		}
		m.names[name] = true
	}
	return m.nameLimited.WithLabelValues(name)
}

// ForgetName drops the series of a name that is no more.
func (m *Metrics) ForgetName(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.names, name)
	m.nameLimited.DeleteLabelValues(name)
}

// Flow counts the redirects of one flow.
type Flow struct {
	redirects, bytes, cost prometheus.Counter
}

// Flow returns the counters of k, or those of "other" once there are as many flows as may have series.
func (m *Metrics) Flow(k FlowKey) *Flow {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, ok := m.flows[k]; ok {
		return f
	}
	if len(m.flows) >= m.maxFlows {
		// One row of "other" per reason: few, and known beforehand.
		k.Cloud, k.Region, k.Candidate = "other", "", "other"
		if f, ok := m.flows[k]; ok {
			return f
		}
	}
	l := []string{k.Cloud, k.Region, k.Candidate, k.Reason}
	f := &Flow{m.redirects.WithLabelValues(l...), m.bytes.WithLabelValues(l...), m.cost.WithLabelValues(l...)}
	m.flows[k] = f
	return f
}

// Count counts one redirect of size bytes (0: unknown, or no GET) at cents per GB.
func (f *Flow) Count(size int64, cents float64) {
	f.redirects.Inc()
	f.Carry(size, cents)
}

// Carry counts the bytes of a redirect that was counted before they were known. What cannot be is not counted: a
// counter of integers that is given too much begins again below where it was, and one of floats stands still.
func (f *Flow) Carry(size int64, cents float64) {
	if size > 0 && size <= oci.MaxBlob {
		f.bytes.Add(float64(size))
		f.cost.Add(float64(size) / 1e9 * cents / 100)
	}
}

// FlowTable finds flows by small numbers, without locks or hashing, for one snapshot: client place × candidate × reason.
type FlowTable struct {
	m                   *Metrics
	candidates, reasons int
	flows               []atomic.Pointer[Flow]
	name                func(place, candidate, reason int) FlowKey
}

// FlowTable returns an empty table for the given numbers; name gives the labels of a flow when it first occurs.
func (m *Metrics) FlowTable(places, candidates, reasons int, name func(place, candidate, reason int) FlowKey) *FlowTable {
	return &FlowTable{
		m: m, candidates: candidates, reasons: reasons, name: name,
		flows: make([]atomic.Pointer[Flow], places*candidates*reasons),
	}
}

// At returns the flow's counters, resolving them the first time.
func (t *FlowTable) At(place, candidate, reason int) *Flow {
	slot := &t.flows[(place*t.candidates+candidate)*t.reasons+reason]
	f := slot.Load()
	if f == nil {
		f = t.m.Flow(t.name(place, candidate, reason))
		slot.Store(f)
	}
	return f
}
