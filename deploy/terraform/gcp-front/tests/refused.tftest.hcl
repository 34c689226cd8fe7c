# What the module refuses, and says so before anything is made.
mock_provider "google" {}

variables {
  project = "example"
  front = {
    names  = [{ host = "registry.example.org" }]
    behind = "google-lb"
  }
  regions         = { us-central1 = {}, europe-west1 = {} }
  image           = "us-docker.pkg.dev/example/tools/oci-proxy@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  collector_image = "us-docker.pkg.dev/example/tools/otelcol@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
  config          = { text = "version: 1\n" }
  edge_rules = {
    rules          = [{ priority = 1000, action = "allow", expression = "request.path.startsWith('/v2/')" }]
    default_action = "deny(404)"
  }
  uptime = { channels = ["projects/example/notificationChannels/1"] }
}

run "a_config_for_another_front" {
  command = plan
  variables {
    front = { names = [{ host = "registry.example.org" }], behind = "cloud-run" }
  }
  expect_failures = [google_cloud_run_v2_service.server]
}

run "a_bad_value_of_each_input" {
  command = plan
  variables {
    front           = { names = [{ host = "registry.example.org" }], behind = "google-lb", idle_seconds = 75 }
    image           = "us-docker.pkg.dev/example/tools/oci-proxy:1.0"
    collector_image = "otel/opentelemetry-collector-contrib:latest"
    regions         = { us-central1 = { min_instances = 0 }, europe-west1 = {} }
    traffic         = [{ percent = 90, revision = "oci-proxy-r1" }]
    config          = { text = "version: 1\n", publication = { url = "https://storage.example.org/config/", deployment = "x", keys = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] } }
    edge_rules      = { rules = [{ priority = 1, action = "allow", expression = "true" }], default_action = "deny(404)" }
    rate_limit      = { requests = 600 }
    uptime          = { places = ["EUROPE", "ASIA_PACIFIC"], channels = ["projects/example/notificationChannels/1"] }
  }
  expect_failures = [var.front, var.image, var.collector_image, var.regions, var.traffic, var.config, var.edge_rules, var.rate_limit, var.uptime]
}

run "another_bad_value" {
  command = plan
  variables {
    front      = { names = [{ host = "registry.example.org" }], behind = "google-lb", admin_port = 0 }
    regions    = { us-central1 = { traffic = [{ percent = 60 }] }, europe-west1 = {} }
    config     = { publication = { url = "http://storage.example.org/config/", deployment = "x", keys = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] } }
    edge_rules = { rules = [{ priority = 1, action = "allow", expression = "request.path.startsWith('/v2/')" }], default_action = "allow" }
    rate_limit = { requests = 2000000 }
  }
  expect_failures = [var.front, var.regions, var.config, var.edge_rules, var.rate_limit]
}

run "no_names" {
  command = plan
  variables {
    front = { names = [], behind = "google-lb" }
  }
  expect_failures = [var.front]
}

# These do not stop a plan: it warns.
run "a_single_region_and_an_alert_that_tells_nobody" {
  command = plan
  variables {
    regions = { us-central1 = {} }
    uptime  = {}
  }
  expect_failures = [check.a_second_region, check.somebody_is_told]
}

run "a_rule_that_allows_every_path" {
  command = plan
  variables {
    edge_rules = { rules = [{ priority = 1, action = "allow", expression = "request.method == 'GET'" }], default_action = "deny(404)" }
  }
  expect_failures = [var.edge_rules]
}
