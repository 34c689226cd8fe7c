# What the front promises, asserted on its plan.
mock_provider "google" {}

variables {
  project = "example"
  name    = "registry"
  front = {
    names  = [{ host = "registry.example.org" }, { host = "old.example.org", role = "legacy" }]
    behind = "google-lb"
  }
  regions = {
    us-central1  = { min_instances = 2, max_instances = 20 }
    europe-west1 = { ring = "canary" }
  }
  image           = "us-docker.pkg.dev/example/tools/oci-proxy@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  collector_image = "us-docker.pkg.dev/example/tools/otelcol@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
  config = {
    publication = {
      url        = "https://storage.example.org/config/"
      deployment = "production"
      keys       = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
    }
  }
  edge_rules = {
    rules = [
      { priority = 1000, action = "allow", expression = "request.path.startsWith('/v2/')", description = "the registry" },
      { priority = 1100, action = "deny(403)", expression = "request.path.startsWith('/v2/secret/')" },
    ]
    default_action = "deny(404)"
  }
  uptime = { channels = ["projects/example/notificationChannels/1"] }
}

run "reached_through_the_load_balancer_only" {
  command = plan

  assert {
    condition     = alltrue([for s in google_cloud_run_v2_service.server : s.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"])
    error_message = "A service can be reached past the load balancer."
  }
  assert {
    condition     = alltrue([for s in google_cloud_run_v2_service.server : s.default_uri_disabled == true])
    error_message = "A service has its run.app name."
  }
  assert {
    condition     = keys(google_compute_region_network_endpoint_group.region) == ["europe-west1", "us-central1"]
    error_message = "A region is not behind the load balancer."
  }
  assert {
    condition     = alltrue([for region, n in google_compute_region_network_endpoint_group.region : n.network_endpoint_type == "SERVERLESS" && n.region == region && n.cloud_run[0].service == "registry"])
    error_message = "A region's group has another service."
  }
  assert {
    condition     = google_compute_backend_service.server.load_balancing_scheme == "EXTERNAL_MANAGED" && google_compute_backend_service.server.enable_cdn == false
    error_message = "The load balancer is of another kind, or caches redirects."
  }
}

run "instances" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.server["us-central1"].template[0].scaling[0].min_instance_count == 2 && google_cloud_run_v2_service.server["us-central1"].template[0].scaling[0].max_instance_count == 20
    error_message = "The numbers of instances are not those of the region."
  }
  assert {
    condition     = google_cloud_run_v2_service.server["europe-west1"].template[0].scaling[0].min_instance_count == 1
    error_message = "A region may be without an instance."
  }
  assert {
    condition     = alltrue(flatten([for s in google_cloud_run_v2_service.server : [for c in s.template[0].containers : c.resources[0].cpu_idle == false]]))
    error_message = "A container has no CPU between requests."
  }
  assert {
    condition     = alltrue(flatten([for s in google_cloud_run_v2_service.server : [for c in s.template[0].containers : can(regex("@sha256:[0-9a-f]{64}$", c.image))]]))
    error_message = "An image has no digest."
  }
  assert {
    condition     = { for e in google_cloud_run_v2_service.server["europe-west1"].template[0].containers[0].env : e.name => e.value }["OCI_PROXY_RING"] == "canary"
    error_message = "The instances of the region follow another ring."
  }
  assert {
    condition = { for e in google_cloud_run_v2_service.server["us-central1"].template[0].containers[0].env : e.name => e.value } == {
      OCI_PROXY_CONFIG      = "https://storage.example.org/config/"
      OCI_PROXY_CONFIG_KEYS = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
      OCI_PROXY_DEPLOYMENT  = "production"
      OCI_PROXY_RING        = "all"
      GOMEMLIMIT            = "921MiB"
    }
    error_message = "The server gets another environment."
  }
}

run "health" {
  command = plan

  assert {
    condition = alltrue(flatten([for s in google_cloud_run_v2_service.server : [
      s.template[0].containers[0].startup_probe[0].http_get[0].path == "/-/ready",
      s.template[0].containers[0].readiness_probe[0].http_get[0].path == "/-/ready",
      s.template[0].containers[0].liveness_probe[0].http_get[0].path == "/-/live",
    ]]))
    error_message = "A probe asks for another path. A liveness probe of /-/ready would kill instances that drain."
  }
  assert {
    condition     = alltrue([for s in google_cloud_run_v2_service.server : length(s.template[0].containers[1].liveness_probe) == 0 && length(s.template[0].containers[1].startup_probe) == 0])
    error_message = "The collector's health ends instances that serve."
  }
}

run "collector" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.server["us-central1"].template[0].containers[1].depends_on == tolist(["server"])
    error_message = "The collector starts before the server."
  }
  assert {
    condition = (
      yamldecode(one(google_cloud_run_v2_service.server["us-central1"].template[0].containers[1].env).value).receivers.prometheus.config.scrape_configs[0].static_configs[0].targets == ["127.0.0.1:9090"] &&
      yamldecode(one(google_cloud_run_v2_service.server["us-central1"].template[0].containers[1].env).value).service.pipelines.metrics.exporters == ["googlemanagedprometheus"]
    )
    error_message = "The collector reads or writes elsewhere."
  }
}

run "a_revision_takes_ten_percent_in_one_region" {
  command = plan

  variables {
    revision = "r42"
    traffic  = [{ percent = 100, revision = "registry-r41" }]
    regions = {
      us-central1 = {}
      europe-west1 = {
        traffic = [{ percent = 90, revision = "registry-r41" }, { percent = 10, revision = "registry-r42" }, { percent = 0, tag = "next" }]
      }
    }
  }

  assert {
    condition     = alltrue([for s in google_cloud_run_v2_service.server : s.template[0].revision == "registry-r42"])
    error_message = "The revision has another name."
  }
  assert {
    condition     = [for t in google_cloud_run_v2_service.server["europe-west1"].traffic : t.percent] == [90, 10, 0]
    error_message = "The region splits differently."
  }
  assert {
    condition     = google_cloud_run_v2_service.server["europe-west1"].traffic[2].type == "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST" && google_cloud_run_v2_service.server["europe-west1"].traffic[0].type == "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    error_message = "An entry is for another kind of revision."
  }
  assert {
    condition     = length(google_cloud_run_v2_service.server["us-central1"].traffic) == 1 && google_cloud_run_v2_service.server["us-central1"].traffic[0].revision == "registry-r41"
    error_message = "The other region follows."
  }
}

run "load_balancer" {
  command = plan

  assert {
    condition     = { for k, a in google_compute_global_address.front : k => a.ip_version } == { ipv4 = "IPV4", ipv6 = "IPV6" }
    error_message = "An address family is missing."
  }
  assert {
    condition     = [for f in google_compute_global_forwarding_rule.https : f.port_range] == ["443", "443"] && [for f in google_compute_global_forwarding_rule.redirect : f.port_range] == ["80", "80"]
    error_message = "A port is missing."
  }
  assert {
    condition     = google_compute_url_map.redirect.default_url_redirect[0].https_redirect == true && google_compute_url_map.redirect.default_url_redirect[0].strip_query == false
    error_message = "HTTP is not redirected to HTTPS."
  }
  assert {
    condition     = google_compute_ssl_policy.https.min_tls_version == "TLS_1_2"
    error_message = "Old versions of TLS are accepted."
  }
  assert {
    condition = (
      { for h, c in google_certificate_manager_certificate.host : h => c.managed[0].domains } == { "old.example.org" = tolist(["old.example.org"]), "registry.example.org" = tolist(["registry.example.org"]) } &&
      alltrue([for a in google_certificate_manager_dns_authorization.host : a.type == "PER_PROJECT_RECORD"]) &&
      keys(google_certificate_manager_certificate_map_entry.host) == ["old.example.org", "registry.example.org"]
    )
    error_message = "A host has no certificate of its own."
  }
}

run "edge" {
  command = plan

  assert {
    condition = { for r in google_compute_security_policy.edge.rule : r.priority => r.action } == {
      1000       = "throttle"
      1100       = "deny(403)"
      2147483647 = "deny(404)"
    }
    error_message = "The policy has other rules than the server's routes."
  }
  assert {
    condition     = [for r in google_compute_security_policy.edge.rule : r.match[0].expr[0].expression if r.priority == 1000] == ["request.path.startsWith('/v2/')"]
    error_message = "An expression was changed."
  }
  assert {
    condition = [for r in google_compute_security_policy.edge.rule : [
      r.rate_limit_options[0].conform_action, r.rate_limit_options[0].exceed_action, r.rate_limit_options[0].enforce_on_key,
      r.rate_limit_options[0].rate_limit_threshold[0].count, r.rate_limit_options[0].rate_limit_threshold[0].interval_sec,
    ] if r.action == "throttle"] == [["allow", "deny(429)", "IP", 60000, 60]]
    error_message = "The rate limit is another one."
  }
  assert {
    condition     = alltrue([for r in google_compute_security_policy.edge.rule : r.preview == false])
    error_message = "The rules are not enforced."
  }
}

run "logs_are_partitioned_and_stored_once" {
  command = plan

  assert {
    condition     = google_logging_project_sink.requests.bigquery_options[0].use_partitioned_tables == true
    error_message = "Each day is a table of its own."
  }
  assert {
    condition     = google_bigquery_dataset.requests.default_partition_expiration_ms == 7776000000
    error_message = "The log is kept for another time than 90 days."
  }
  assert {
    condition     = strcontains(google_logging_project_exclusion.requests.filter, google_logging_project_sink.requests.filter)
    error_message = "The requests are stored in _Default too."
  }
}

run "rights" {
  command = plan

  assert {
    condition     = google_project_iam_member.metrics.role == "roles/monitoring.metricWriter" && google_bigquery_dataset_iam_member.requests.role == "roles/bigquery.dataEditor"
    error_message = "An account has another right."
  }
  assert {
    condition     = length(google_secret_manager_secret_iam_member.config) == 0 && length(google_service_account.mirror) == 0
    error_message = "Something was made that nobody asked for."
  }
}

# After a mocked apply: what is known only then.
run "names_that_google_gives" {
  command = apply

  assert {
    condition     = alltrue([for h, p in google_monitoring_alert_policy.uptime : strcontains(p.conditions[0].condition_threshold[0].filter, "metric.labels.check_id = \"${google_monitoring_uptime_check_config.host[h].uptime_check_id}\"")])
    error_message = "The alert watches another check."
  }
  assert {
    condition     = alltrue([for p in google_monitoring_alert_policy.uptime : strcontains(p.conditions[0].condition_threshold[0].filter, "resource.type = \"uptime_url\"") && p.notification_channels == tolist(["projects/example/notificationChannels/1"])])
    error_message = "The alert matches no series, or tells nobody."
  }
  assert {
    condition     = alltrue([for c in google_monitoring_uptime_check_config.host : c.monitored_resource[0].type == "uptime_url" && length(c.selected_regions) >= 3 && c.http_check[0].path == "/v2/"])
    error_message = "The check asks something else."
  }
  assert {
    condition     = google_compute_target_https_proxy.https.certificate_map == "//certificatemanager.googleapis.com/${google_certificate_manager_certificate_map.hosts.id}"
    error_message = "The load balancer has other certificates."
  }
  assert {
    condition     = google_compute_backend_service.server.security_policy == google_compute_security_policy.edge.id
    error_message = "The edge rules are not in force."
  }
  assert {
    condition     = alltrue([for s in google_cloud_run_v2_service.server : s.template[0].service_account == google_service_account.server.email])
    error_message = "A service runs as another account."
  }
  assert {
    condition     = output.behind == "google-lb" && output.addresses.ipv4 == google_compute_global_address.front["ipv4"].address && output.mirror == null
    error_message = "An output is another value."
  }
}

run "config_in_a_secret" {
  command = apply

  variables {
    config = { text = "version: 1\n" }
    mirror = true
  }

  assert {
    condition     = google_secret_manager_secret_version.config[0].secret_data == "version: 1\n" && google_secret_manager_secret_iam_member.config[0].role == "roles/secretmanager.secretAccessor"
    error_message = "The secret has another content, or the server cannot read it."
  }
  assert {
    condition     = alltrue([for s in google_cloud_run_v2_service.server : s.template[0].volumes[0].secret[0].items[0].version == google_secret_manager_secret_version.config[0].version])
    error_message = "The revision follows a version that can change."
  }
  assert {
    condition     = { for e in google_cloud_run_v2_service.server["us-central1"].template[0].containers[0].env : e.name => e.value } == { OCI_PROXY_CONFIG = "/config/proxy.yaml", GOMEMLIMIT = "921MiB" }
    error_message = "The server reads another file."
  }
  assert {
    condition     = output.mirror.unique_id == google_service_account.mirror[0].unique_id
    error_message = "The stores would trust another identity."
  }
}
