mock_provider "google" {}

variables {
  project = "example"
  zone    = "registry.example.org"
  name    = "registry.example.org"
  fronts = {
    aws = { on = true, weight = 60, ipv4 = ["192.0.2.1", "192.0.2.2"], ipv6 = ["2001:db8::1"] }
    gcp = { on = true, weight = 40, ipv4 = ["198.51.100.1"] }
  }
}

run "both_on" {
  command = plan
  assert {
    condition     = toset(keys(google_dns_record_set.front)) == toset(["A", "AAAA"])
    error_message = "One record set for each family."
  }
  assert {
    condition     = length(google_dns_record_set.front["A"].routing_policy[0].wrr) == 2 && length(google_dns_record_set.front["AAAA"].routing_policy[0].wrr) == 1
    error_message = "Each front is in the sets of its families."
  }
  assert {
    condition     = alltrue([for r in values(google_dns_record_set.front) : r.ttl <= 60 && r.name == "registry.example.org."])
    error_message = "All have the name and a short TTL."
  }
  assert {
    condition     = google_compute_health_check.front.https_health_check[0].host == "registry.example.org" && google_compute_health_check.front.https_health_check[0].request_path == "/v2/"
    error_message = "Each address is checked with the registry's name."
  }
}

run "one_off" {
  command = plan
  variables {
    fronts = {
      aws = { on = true, weight = 60, ipv4 = ["192.0.2.1"] }
      gcp = { on = false, weight = 40, ipv4 = ["198.51.100.1"], ipv6 = ["2001:db8::2"] }
    }
  }
  assert {
    condition     = toset(keys(google_dns_record_set.front)) == toset(["A"]) && google_dns_record_set.front["A"].routing_policy[0].wrr[0].health_checked_targets[0].external_endpoints == tolist(["192.0.2.1"])
    error_message = "A front that is off is in no record set."
  }
}

run "all_off" {
  command = plan
  variables {
    fronts = { aws = { on = false, weight = 1, ipv4 = ["192.0.2.1"] } }
  }
  expect_failures = [var.fronts]
}

run "long_ttl" {
  command = plan
  variables {
    ttl = 300
  }
  expect_failures = [var.ttl]
}

run "both_providers_are_named" {
  variables {
    other_name_servers = ["ns-1.awsdns-01.org", "ns-2.awsdns-02.com."]
  }
  assert {
    condition     = length(setsubtract(["ns-1.awsdns-01.org.", "ns-2.awsdns-02.com."], google_dns_record_set.ns[0].rrdatas)) == 0
    error_message = "The zone names the name servers of both."
  }
}
