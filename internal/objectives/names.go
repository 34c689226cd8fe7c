package objectives

// The metrics that the rules are made of. A test compares them with those that the programs have, so that a renamed metric
// fails here and not at night.
const (
	requests     = "ociproxy_requests_total"
	retries      = "ociproxy_retries_total"
	decisions    = "ociproxy_decision_seconds"
	inventoryAge = "ociproxy_inventory_age_seconds"
	cost         = "ociproxy_estimated_cost_dollars_total"

	mirrorLag = "ociproxy_mirror_oldest_incomplete_seconds"

	probeDecisions = "ociproxy_probe_decisions_total"
	probePaths     = "ociproxy_probe_paths_total"
	probeSuccess   = "ociproxy_probe_check_success"
)

// names are all of them.
var names = []string{requests, retries, decisions, inventoryAge, cost, mirrorLag, probeDecisions, probePaths, probeSuccess}
