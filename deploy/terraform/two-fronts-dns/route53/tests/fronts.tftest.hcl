mock_provider "aws" {}

variables {
  zone = "registry.example.org"
  name = "registry.example.org"
  fronts = {
    aws = { on = true, weight = 60, ipv4 = ["192.0.2.1", "192.0.2.2"], ipv6 = ["2001:db8::1"] }
    gcp = { on = true, weight = 40, ipv4 = ["198.51.100.1"] }
  }
}

run "both_on" {
  command = plan
  assert {
    condition     = toset(keys(aws_route53_record.front)) == toset(["aws/A", "aws/AAAA", "gcp/A"])
    error_message = "One record set for each front and family."
  }
  assert {
    condition     = alltrue([for r in values(aws_route53_record.front) : r.ttl <= 60 && r.name == "registry.example.org"])
    error_message = "All have the name and a short TTL."
  }
  assert {
    condition     = aws_route53_record.front["aws/A"].weighted_routing_policy[0].weight == 60
    error_message = "The weight is that of the front."
  }
  assert {
    condition     = length(aws_route53_health_check.front) == 4 && alltrue([for h in values(aws_route53_health_check.front) : h.enable_sni && h.fqdn == "registry.example.org" && h.resource_path == "/v2/"])
    error_message = "Each address is checked with the registry's name."
  }
  assert {
    condition     = length(aws_route53_record.ns) == 0
    error_message = "Without the other name servers, those of the zone stay."
  }
}

run "one_off" {
  command = plan
  variables {
    fronts = {
      aws = { on = true, weight = 60, ipv4 = ["192.0.2.1"] }
      gcp = { on = false, weight = 40, ipv4 = ["198.51.100.1"] }
    }
  }
  assert {
    condition     = toset(keys(aws_route53_record.front)) == toset(["aws/A"])
    error_message = "A front that is off has no record, not even one with weight 0."
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
    other_name_servers = ["ns-cloud-a1.googledomains.com", "ns-cloud-a2.googledomains.com."]
    validation_records = { "_acme-challenge_abc.registry.example.org" = "x.authorize.certificatemanager.goog." }
  }
  assert {
    condition     = length(setsubtract(["ns-cloud-a1.googledomains.com.", "ns-cloud-a2.googledomains.com."], aws_route53_record.ns[0].records)) == 0
    error_message = "The zone names the name servers of both."
  }
  assert {
    condition     = length(aws_route53_record.validation) == 1
    error_message = "Both providers serve the records of all certificates."
  }
}
