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

run "connections_that_the_server_closes_first" {
  command = plan
  variables {
    front = { names = [{ host = "registry.example.org" }], behind = "google-lb", idle_seconds = 75 }
  }
  expect_failures = [var.front]
}

run "no_admin_port" {
  command = plan
  variables {
    front = { names = [{ host = "registry.example.org" }], behind = "google-lb", admin_port = 0 }
  }
  expect_failures = [var.front]
}

run "no_names" {
  command = plan
  variables {
    front = { names = [], behind = "google-lb" }
  }
  expect_failures = [var.front]
}

run "a_tag" {
  command = plan
  variables {
    image           = "us-docker.pkg.dev/example/tools/oci-proxy:1.0"
    collector_image = "otel/opentelemetry-collector-contrib:latest"
  }
  expect_failures = [var.image, var.collector_image]
}

run "a_region_without_an_instance" {
  command = plan
  variables {
    regions = { us-central1 = { min_instances = 0 }, europe-west1 = {} }
  }
  expect_failures = [var.regions]
}

run "a_single_region" {
  command = plan
  variables {
    regions = { us-central1 = {} }
  }
  expect_failures = [check.a_second_region]
}

run "an_alert_that_tells_nobody" {
  command = plan
  variables {
    uptime = {}
  }
  expect_failures = [check.somebody_is_told]
}

run "percentages" {
  command = plan
  variables {
    traffic = [{ percent = 90, revision = "oci-proxy-r1" }]
  }
  expect_failures = [var.traffic]
}

run "percentages_of_a_region" {
  command = plan
  variables {
    regions = { us-central1 = { traffic = [{ percent = 60 }] }, europe-west1 = {} }
  }
  expect_failures = [var.regions]
}

run "two_configs" {
  command = plan
  variables {
    config = { text = "version: 1\n", publication = { url = "https://storage.example.org/config/", deployment = "x", keys = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] } }
  }
  expect_failures = [var.config]
}

run "a_publication_by_plain_http" {
  command = plan
  variables {
    config = { publication = { url = "http://storage.example.org/config/", deployment = "x", keys = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] } }
  }
  expect_failures = [var.config]
}

run "an_edge_that_lets_everything_through" {
  command = plan
  variables {
    edge_rules = { rules = [{ priority = 1, action = "allow", expression = "true" }], default_action = "deny(404)" }
  }
  expect_failures = [var.edge_rules]
}

run "an_edge_that_allows_by_default" {
  command = plan
  variables {
    edge_rules = { rules = [{ priority = 1, action = "allow", expression = "request.path == '/v2/'" }], default_action = "allow" }
  }
  expect_failures = [var.edge_rules]
}

run "a_rate_that_stops_a_fleet_behind_one_address" {
  command = plan
  variables {
    rate_limit = { requests = 600 }
  }
  expect_failures = [var.rate_limit]
}

run "too_few_places" {
  command = plan
  variables {
    uptime = { places = ["EUROPE", "ASIA_PACIFIC"], channels = ["projects/example/notificationChannels/1"] }
  }
  expect_failures = [var.uptime]
}
