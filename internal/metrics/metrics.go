package metrics

import (
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"ociproxy/internal/oci"
	"ociproxy/internal/price"
)

// An instance stays below maxSeries, whatever clients do. The configuration and the fixed metrics need a part of the
// series. The rest is for flows: combinations of (cloud, region, candidate, reason). Flows beyond that are counted
// together.
const (
	maxSeries       = 5000
	fixedSeries     = 700 // requests, histograms, feeds, overrides, the Go runtime and the process
	candidateSeries = 20  // checks, probes, relays and gauges of one candidate, and "other" flows
	flowSeries      = 3
	maxNames        = 20 // names of the registry that have their own limit counter
)

// Codes are the status codes that the server sends.
var Codes = []int{200, 304, 307, 400, 403, 404, 405, 429, 500, 502, 503}

// Metrics holds all metrics of one server. It is safe for concurrent use.
type Metrics struct {
	Registry *prometheus.Registry

	// Decision is the time for parsing, locating and deciding, in seconds, including checks.
	Decision prometheus.Histogram
	// Address counts requests by the source of the client's address.
	Address *prometheus.CounterVec
	// Checks counts existence checks by candidate and result.
	Checks *prometheus.CounterVec
	// CheckDuration is the duration of the checks, in seconds.
	CheckDuration prometheus.Histogram
	// InventoryDigests and InventoryBytes are the size of the union table. InventoryDenied counts the digests that a
	// store's inventory lists but the store does not have.
	InventoryDigests, InventoryBytes, InventoryDenied prometheus.Gauge
	// Probes counts health probes by candidate and result.
	Probes *prometheus.CounterVec
	// ProbeDuration is the duration of the probes, in seconds.
	ProbeDuration prometheus.Histogram
	// Usable is 1 for each candidate in service.
	Usable *prometheus.GaugeVec
	// Frozen is 1 while more than half of the candidates fail together and so none is ejected.
	Frozen prometheus.Gauge
	// Retries counts the downloads that an address requested again and the server sent past a candidate, by that
	// candidate.
	Retries *prometheus.CounterVec
	// Paths counts what the server learnt about client addresses and their paths to the nearest candidate, by event.
	Paths *prometheus.CounterVec
	// Unexplained is the number of client addresses that cannot reach a candidate that looks fine to the server.
	Unexplained *prometheus.GaugeVec
	// ExistenceEntries is the number of answers in memory.
	ExistenceEntries prometheus.Gauge
	// Relays counts relayed tag lists by upstream and result (ok, odd-link, not-found, refused, busy, failed).
	Relays *prometheus.CounterVec
	// Limited counts requests that an upstream's maxRPS refused.
	Limited *prometheus.CounterVec
	// ConfigInfo is 1 for the hash, generation, ring and deployment of the configuration in use.
	ConfigInfo *prometheus.GaugeVec
	// ConfigLoaded is the time when it was loaded, in Unix seconds.
	ConfigLoaded prometheus.Gauge
	// ConfigFallback is when this process started on another configuration because it could not use the file, in Unix
	// seconds. 0 means that it uses the file.
	ConfigFallback prometheus.Gauge
	// ConfigCopyFailing is 1 while the last attempt to keep a copy of a good configuration failed.
	ConfigCopyFailing prometheus.Gauge
	// Ready is 1 while /-/ready answers 200.
	Ready prometheus.Gauge
	// Connections is the number of open client connections, MaxConnections the maximum.
	Connections, MaxConnections prometheus.Gauge
	// Returning is the share of client networks, in percent, of each candidate that comes back after an override.
	Returning *prometheus.GaugeVec
	// DeniedTags counts the tags that were looked up while some digest is denied, by one of [TagResults].
	DeniedTags *prometheus.CounterVec
	// ProbeRequests counts the requests with a probe identity by outcome. No other metric counts them.
	ProbeRequests *prometheus.CounterVec
	// Crowded counts the connections that were closed to make room for others (displaced) and those that found no
	// room (refused).
	Crowded *prometheus.CounterVec

	feedAge, feedRows, feedFailing, feedUnplaced, feedSeed        *prometheus.GaugeVec
	inventoryAge, inventoryHeld, inventoryState, inventoryFailing *prometheus.GaugeVec

	overrideInfo, overrideUntil, overrideRefused *prometheus.GaugeVec

	configReloads    *prometheus.CounterVec
	configReloadGood prometheus.Gauge

	requests  *prometheus.CounterVec
	redirects *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	cost      *prometheus.CounterVec

	nameLimited *prometheus.CounterVec

	mu       sync.Mutex
	names    map[string]bool // names that have a series of nameLimited
	flows    map[FlowKey]*Flow
	maxFlows int
}

// New defines the metrics on their own registry.
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
	m.ConfigInfo = m.gaugeVec("ociproxy_config_info",
		"1 for the SHA-256 of the configuration in use, with its generation, ring and deployment if it was published.", "hash", "generation", "ring", "deployment")
	m.ConfigLoaded = m.gauge("ociproxy_config_loaded_timestamp_seconds", "When the configuration in use was loaded.")
	m.configReloads = m.counter("ociproxy_config_reloads_total", "Configuration reloads by result (ok, invalid).", "result")
	for _, result := range []string{"ok", "invalid"} { // so that the first event is an increase
		m.configReloads.WithLabelValues(result)
	}
	m.configReloadGood = m.gauge("ociproxy_config_last_reload_successful",
		"1 while the configuration on disk, as last read, is the one in use; 0 from a refused one until it is repaired.")
	m.configReloadGood.Set(1) // a server without a fallback starts with a valid config
	m.ConfigFallback = m.gauge("ociproxy_config_fallback_timestamp_seconds",
		"When this process started on a fallback, because it could not start on the configuration file; 0: it uses the file.")
	m.ConfigCopyFailing = m.gauge("ociproxy_config_copy_failing",
		"1 while the last attempt to keep a copy of a good configuration failed.")
	m.overrideInfo = m.gaugeVec("ociproxy_override_info", "1 for each override that holds.", "id", "action", "candidate", "by")
	m.overrideUntil = m.gaugeVec("ociproxy_override_until_timestamp_seconds", "When each override that holds ends by itself.", "id")
	m.overrideRefused = m.gaugeVec("ociproxy_override_refused", "1 for each override that does not fit the configuration of this instance, at least in part.", "id")
	m.Returning = m.gaugeVec("ociproxy_candidate_returning", "Percent of the client networks that a candidate gets while it comes back after an override.", "candidate")
	m.DeniedTags = m.counter("ociproxy_denied_tag_checks_total", "Tags looked up while a digest is denied: fine, denied or unknown (served).", "result")
	m.Ready = m.gauge("ociproxy_ready", "1 while this instance wants traffic.")
	m.Connections = m.gauge("ociproxy_connections", "Open client connections.")
	m.MaxConnections = m.gauge("ociproxy_connections_max", "Client connections that may be open at once.")
	m.Crowded = m.counter("ociproxy_connections_crowded_total", "Client connections closed for one of a network with fewer (displaced), or refused while all were open.", "result")
	for _, result := range []string{"displaced", "refused"} {
		m.Crowded.WithLabelValues(result)
	}
	m.ProbeRequests = m.counter("ociproxy_probe_requests_total", "Requests with a probe identity by its outcome; no other metric counts them.", "outcome")
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

// Reloaded records the result of a reload of the configuration.
func (m *Metrics) Reloaded(ok bool) {
	result := "invalid"
	if ok {
		result = "ok"
	}
	m.configReloads.WithLabelValues(result).Inc()
	m.configReloadGood.Set(flag(ok))
}

// StartedOnFallback notes that the configuration file could not be used at the start.
func (m *Metrics) StartedOnFallback() {
	m.configReloadGood.Set(flag(false))
	m.ConfigFallback.SetToCurrentTime()
}

// flag returns the value of a yes/no gauge.
func flag(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// ResetFeeds removes the gauges of all feeds. The caller then sets those of the current feeds.
func (m *Metrics) ResetFeeds() {
	for _, v := range []*prometheus.GaugeVec{m.feedAge, m.feedRows, m.feedFailing, m.feedUnplaced, m.feedSeed} {
		v.Reset()
	}
}

// ObserveFeed sets the gauges of one feed: the age of its data in seconds, the number of its prefixes, how many of
// them have a region that the map does not know, and whether the last refresh failed or was refused.
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

// MaxOverrides is how many overrides have series.
const MaxOverrides = 64

// ResetOverrides removes the gauges of all overrides. The caller then sets those that hold.
func (m *Metrics) ResetOverrides() {
	for _, v := range []*prometheus.GaugeVec{m.overrideInfo, m.overrideUntil, m.overrideRefused, m.Returning} {
		v.Reset()
	}
}

// ObserveOverride sets the gauges of one override. A zero until means that it does not end by itself.
func (m *Metrics) ObserveOverride(id, action, candidate, by string, until time.Time, refused bool) {
	m.overrideInfo.WithLabelValues(id, action, candidate, strings.ToValidUTF8(by[:min(len(by), maxBy)], "")).Set(1)
	if !until.IsZero() {
		m.overrideUntil.WithLabelValues(id).Set(float64(until.Unix()))
	}
	if refused {
		m.overrideRefused.WithLabelValues(id).Set(1)
	}
}

// maxBy bounds the label that says who made an override, in bytes.
const maxBy = 64

// TagResults are the results of looking up what a tag points to: a closed set. An unknown one is served.
var TagResults = []string{TagFine, TagDenied, TagUnknown}

// The results.
const (
	TagFine    = "fine"
	TagDenied  = "denied"
	TagUnknown = "unknown"
)

// ResetInventories removes the gauges of all inventories. The caller then sets those of the current inventories.
func (m *Metrics) ResetInventories() {
	for _, v := range []*prometheus.GaugeVec{m.inventoryAge, m.inventoryHeld, m.inventoryState, m.inventoryFailing} {
		v.Reset()
	}
}

// ObserveInventory sets the gauges of one store's inventory. age is in seconds.
func (m *Metrics) ObserveInventory(store, state string, age float64, held int, failing bool) {
	m.inventoryAge.WithLabelValues(store).Set(age)
	m.inventoryHeld.WithLabelValues(store).Set(float64(held))
	m.inventoryState.WithLabelValues(store, state).Set(1)
	m.inventoryFailing.WithLabelValues(store).Set(flag(failing))
}

// Requests returns the counters of one kind of request, by index into [Codes], so that the request path never looks
// up a label.
func (m *Metrics) Requests(kind string) []prometheus.Counter {
	cs := make([]prometheus.Counter, len(Codes))
	for i, code := range Codes {
		cs[i] = m.requests.WithLabelValues(kind, strconv.Itoa(code))
	}
	return cs
}

// CodeIndex returns the index of code in [Codes]. Other status codes count as 500.
func CodeIndex(code int) int {
	for i, c := range Codes {
		if c == code {
			return i
		}
	}
	return codeOther
}

const codeOther = 8 // 500 in Codes

var flowLabels = []string{"cloud", "region", "candidate", "reason"}

// FlowKey identifies one flow of redirects.
type FlowKey struct{ Cloud, Region, Candidate, Reason string }

func flowsBeside(candidates int) int {
	return max(0, (maxSeries-fixedSeries-candidates*candidateSeries)/flowSeries)
}

// SetCandidates reserves room for the series of n candidates.
func (m *Metrics) SetCandidates(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.maxFlows = flowsBeside(n)
}

// ForgetCandidate drops all series of a candidate that no longer exists.
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
		m.redirects, m.bytes, m.cost, m.Checks, m.Probes, m.Relays, m.Limited, m.Retries, m.Usable, m.Unexplained, m.Returning,
	} {
		v.DeletePartialMatch(labels)
	}
}

// NameLimited returns the counter of requests that exceeded the limit of a name of the registry. The first maxNames
// names have their own counters; the other names share one.
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

// ForgetName drops the series of a name that no longer exists.
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

// Flow returns the counters of k. If the maximum number of flows has series already, it returns those of "other".
func (m *Metrics) Flow(k FlowKey) *Flow {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, ok := m.flows[k]; ok {
		return f
	}
	if len(m.flows) >= m.maxFlows {
		// There is one "other" row for each reason. The reasons are few, and known in advance.
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

// Count counts one redirect of size bytes (0: unknown, or not a GET) at cents per GiB.
func (f *Flow) Count(size int64, cents float64) {
	f.redirects.Inc()
	f.Carry(size, cents)
}

// Carry counts the bytes of a redirect that was counted before its size was known. It ignores impossible sizes: a
// counter of integers would overflow and restart below its value, and a counter of floats would stop growing.
func (f *Flow) Carry(size int64, cents float64) {
	if size > 0 && size <= oci.MaxBlob {
		f.cost.Add(price.USD(float64(size), cents, price.GiB)) // first: when the bytes are seen, their cost is there
		f.bytes.Add(float64(size))
	}
}

// FlowTable finds flows by small numbers, without locks or hashing, for one snapshot: client place × candidate × reason.
type FlowTable struct {
	m                   *Metrics
	candidates, reasons int
	flows               []atomic.Pointer[Flow]
	name                func(place, candidate, reason int) FlowKey
}

// FlowTable returns an empty table with the given dimensions. It calls name for the labels of a flow when the flow
// first occurs.
func (m *Metrics) FlowTable(places, candidates, reasons int, name func(place, candidate, reason int) FlowKey) *FlowTable {
	return &FlowTable{
		m: m, candidates: candidates, reasons: reasons, name: name,
		flows: make([]atomic.Pointer[Flow], places*candidates*reasons),
	}
}

// At returns the flow's counters. It resolves them at the first call.
func (t *FlowTable) At(place, candidate, reason int) *Flow {
	slot := &t.flows[(place*t.candidates+candidate)*t.reasons+reason]
	f := slot.Load()
	if f == nil {
		f = t.m.Flow(t.name(place, candidate, reason))
		slot.Store(f)
	}
	return f
}
