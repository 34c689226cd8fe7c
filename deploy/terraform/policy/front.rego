# Fronts: Cloud Run behind Google's load balancer, and Fargate behind AWS'.
package main

import rego.v1

digest := `@sha256:[0-9a-f]{64}$`

# Google

deny contains sprintf("%s: ingress must be INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER: edge rules and limits hold at the load balancer only", [s.address]) if {
	some s in of("google_cloud_run_v2_service")
	object.get(s.values, "ingress", "") != "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
}

deny contains sprintf("%s: default_uri_disabled must be true: the run.app address goes around the load balancer", [s.address]) if {
	some s in of("google_cloud_run_v2_service")
	object.get(s.values, "default_uri_disabled", false) != true
}

deny contains sprintf("%s: min_instance_count must be at least 1: a region without instances answers late, and has no health", [s.address]) if {
	some s in of("google_cloud_run_v2_service")
	some t in s.values.template
	count({1 | some c in object.get(t, "scaling", []); c.min_instance_count >= 1}) == 0
}

deny contains sprintf("%s: the image %s has no digest: a tag can be another image tomorrow", [s.address, c.image]) if {
	some s in of("google_cloud_run_v2_service")
	some t in s.values.template
	some c in t.containers
	not regex.match(digest, c.image)
}

deny contains sprintf("%s: cpu_idle must be false: between requests the server reads feeds, inventories and probes", [s.address]) if {
	some s in of("google_cloud_run_v2_service")
	some t in s.values.template
	some c in t.containers
	not false in {r.cpu_idle | some r in object.get(c, "resources", [])}
}

deny contains sprintf("%s: no security_policy: nothing refuses what the server does not answer", [b.address]) if {
	some b in of("google_compute_backend_service")
	not has_policy(b)
}

# It is not known in a plan whose policy is not there yet.
has_policy(b) if object.get(b.values, "security_policy", "unknown") != null

deny contains sprintf("%s: enable_cdn must be false: answers depend on the client", [b.address]) if {
	some b in of("google_compute_backend_service")
	object.get(b.values, "enable_cdn", false) == true
}

deny contains sprintf("%s: the last rule must deny", [p.address]) if {
	some p in of("google_compute_security_policy")
	count({1 | some r in p.values.rule; r.priority == 2147483647; startswith(r.action, "deny")}) == 0
}

# A rule with the action throttle or rate_based_ban lets through what stays below its limit, so it opens what it matches.
opens := {"allow", "throttle", "rate_based_ban", "redirect"}

deny contains sprintf("%s: the rule %v lets all paths through: its action is %s and its expression does not look at request.path alone", [p.address, r.priority, r.action]) if {
	some p in of("google_compute_security_policy")
	some r in p.values.rule
	r.action in opens
	not by_path(r)
}

by_path(r) if {
	some m in r.match
	some e in m.expr
	contains(e.expression, "request.path.")
	not contains(e.expression, "||") # the other side could be anything
}

deny contains sprintf("%s: the rule %v has no rate limit: give it the action throttle in place of allow", [p.address, r.priority]) if {
	some p in of("google_compute_security_policy")
	some r in p.values.rule
	r.action == "allow"
}

deny contains sprintf("%s: min_tls_version must be TLS_1_2 or later", [p.address]) if {
	some p in of("google_compute_ssl_policy")
	not object.get(p.values, "min_tls_version", "") in {"TLS_1_2", "TLS_1_3"}
}

# AWS

deny contains sprintf("%s: the image %s has no digest: a tag can be another image tomorrow", [t.address, c.image]) if {
	some t in of("aws_ecs_task_definition")
	some c in json.unmarshal(t.values.container_definitions)
	not regex.match(digest, c.image)
}

deny contains sprintf("%s: desired_count must be at least 1", [s.address]) if {
	some s in of("aws_ecs_service")
	object.get(s.values, "desired_count", 0) < 1
}

deny contains sprintf("%s: assign_public_ip must be false: the tasks would be reached around the load balancer", [s.address]) if {
	some s in of("aws_ecs_service")
	some n in s.values.network_configuration
	n.assign_public_ip == true
}

everywhere := {"0.0.0.0/0", "::/0"}

deny contains sprintf("%s: everybody reaches port %v; only 80 and 443 of the load balancer may be open", [r.address, r.values.from_port]) if {
	some r in of("aws_vpc_security_group_ingress_rule")
	some argument in ["cidr_ipv4", "cidr_ipv6"]
	object.get(r.values, argument, "") in everywhere
	not open_port(r.values)
}

open_port(v) if {
	v.from_port == v.to_port
	v.from_port in {80, 443}
	v.ip_protocol in {"tcp", "udp"}
}

deny contains sprintf("%s: write ingress as aws_vpc_security_group_ingress_rule, which these rules read", [g.address]) if {
	some g in of("aws_security_group")
	count(object.get(g.values, "ingress", [])) > 0
}

deny contains sprintf("%s: a listener without TLS must only redirect to HTTPS", [l.address]) if {
	some l in of("aws_lb_listener")
	l.values.protocol in {"HTTP", "TCP"}
	count({1 | some a in l.values.default_action; some r in object.get(a, "redirect", []); r.protocol == "HTTPS"}) == 0
}

deny contains sprintf("%s: ssl_policy must want TLS 1.2 or later", [l.address]) if {
	some l in of("aws_lb_listener")
	l.values.protocol in {"HTTPS", "TLS"}
	not regex.match(`TLS13-1-[23]|TLS-1-2`, object.get(l.values, "ssl_policy", ""))
}
