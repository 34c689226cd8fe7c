package scraped

import (
	"fmt"
	"strings"
	"time"
)

// query is one question to Prometheus.
type query struct {
	name string
	what string // for people: what is not known if there is no answer
	text string // JOB is the matcher of the job, WINDOW the time over which rates are measured
}

// The names of the queries.
const (
	redirects = "redirects"
	bytes     = "bytes"
	dollars   = "dollars"
	usable    = "usable"
	reported  = "reported"
	returning = "returning"
	up        = "up"
	instances = "instances"
	ready     = "ready"
	requests  = "requests"
	failures  = "failures"
	opened    = "connections"
	mostOpen  = "most connections"
	builds    = "builds"
	started   = "started"
	frozen    = "frozen"
	listAge   = "inventory age"
	listHeld  = "inventory held"
	listAll   = "inventory all"
	listState = "inventory state"
	feedAge   = "feed age"
	feedRows  = "feed prefixes"
	feedFails = "feed failing"
	configs   = "configs"
	loaded    = "config loaded"
	refused   = "config refused"
	fallback  = "config fallback"
	overrides = "overrides"
)

// queries are all questions, in the order in which they are asked.
var queries = []query{
	{up, "how many instances answer", `sum(up{JOB})`},
	{instances, "how many instances there are", `count(up{JOB})`},
	{ready, "how many instances are ready", `sum(ociproxy_ready{JOB})`},
	{usable, "which candidates are in service", `sum by (candidate) (ociproxy_candidate_usable{JOB})`},
	{reported, "which candidates are in service", `count by (candidate) (ociproxy_candidate_usable{JOB})`},
	{redirects, "redirects", `sum by (cloud, region, candidate) (rate(ociproxy_redirects_total{JOB}[WINDOW])) > 0`},
	{bytes, "bytes", `sum by (cloud, region, candidate) (rate(ociproxy_redirected_bytes_total{JOB}[WINDOW])) > 0`},
	{dollars, "dollars", `sum by (cloud, region, candidate) (rate(ociproxy_estimated_cost_dollars_total{JOB}[WINDOW])) > 0`},
	{requests, "requests", `sum(rate(ociproxy_requests_total{JOB,kind!="probe"}[WINDOW]))`},
	{failures, "answers with 5xx", `sum(rate(ociproxy_requests_total{JOB,kind!="probe",code=~"5.."}[WINDOW]))`},
	{returning, "which candidates come back", `max by (candidate) (ociproxy_candidate_returning{JOB})`},
	{opened, "connections", `sum(ociproxy_connections{JOB})`},
	{mostOpen, "connections", `sum(ociproxy_connections_max{JOB})`},
	{builds, "versions", `count by (version) (ociproxy_build_info{JOB})`},
	{started, "when instances started", `max(process_start_time_seconds{JOB})`},
	{frozen, "whether health is frozen", `sum(ociproxy_health_frozen{JOB})`},
	{listAge, "inventories", `max by (candidate) (ociproxy_inventory_age_seconds{JOB})`},
	{listHeld, "inventories", `min by (candidate) (ociproxy_inventory_held_digests{JOB})`},
	{listAll, "inventories", `max(ociproxy_inventory_digests{JOB})`},
	{listState, "inventories", `count by (candidate, state) (ociproxy_inventory_state{JOB} == 1)`},
	{feedAge, "feeds", `max by (feed) (ociproxy_feed_age_seconds{JOB})`},
	{feedRows, "feeds", `min by (feed) (ociproxy_feed_prefixes{JOB})`},
	{feedFails, "feeds", `sum by (feed) (ociproxy_feed_failing{JOB})`},
	{configs, "configs", `count by (hash, ring, generation) (ociproxy_config_info{JOB})`},
	{loaded, "when configs were loaded", `max(ociproxy_config_loaded_timestamp_seconds{JOB})`},
	{refused, "whether a config is refused", `sum(1 - ociproxy_config_last_reload_successful{JOB})`},
	{fallback, "whether an instance started on a fallback", `count(ociproxy_config_fallback_timestamp_seconds{JOB} > 0)`},
	{overrides, "overrides", `max by (id, action, candidate, by) (ociproxy_override_info{JOB})`},
}

// in returns the query for a job and a window.
func (q *query) in(job string, window time.Duration) string {
	return strings.NewReplacer("JOB", fmt.Sprintf("job=%q", job), "WINDOW", fmt.Sprintf("%ds", int(window.Seconds()))).Replace(q.text)
}
