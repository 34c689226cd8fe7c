locals {
  # One record set for each family, with the fronts that are on and have addresses of it.
  sets = { for type, fronts in {
    A    = { for name, f in var.fronts : name => { weight = f.weight, addresses = f.ipv4 } if f.on && length(f.ipv4) > 0 }
    AAAA = { for name, f in var.fronts : name => { weight = f.weight, addresses = f.ipv6 } if f.on && length(f.ipv6) > 0 }
  } : type => fronts if length(fronts) > 0 }
}

resource "google_dns_managed_zone" "this" {
  project     = var.project
  name        = replace(var.zone, ".", "-")
  dns_name    = "${var.zone}."
  description = "${var.name}: served by a second DNS provider too"
}

# Each address is asked as clients ask it: TLS with the registry's name, then /v2/. From the internet Google asks every
# 30 s at most, and takes an address out after two failures.
resource "google_compute_health_check" "front" {
  project             = var.project
  name                = "${replace(var.zone, ".", "-")}-front"
  source_regions      = var.health_regions
  check_interval_sec  = 30
  timeout_sec         = 5
  healthy_threshold   = 2
  unhealthy_threshold = 2

  https_health_check {
    host         = var.name
    port         = 443
    request_path = var.health_path
  }
}

resource "google_dns_record_set" "front" {
  for_each = local.sets

  project      = var.project
  managed_zone = google_dns_managed_zone.this.name
  name         = "${var.name}."
  type         = each.key
  ttl          = var.ttl

  routing_policy {
    health_check = google_compute_health_check.front.id

    dynamic "wrr" {
      for_each = each.value
      content {
        weight = wrr.value.weight
        health_checked_targets {
          external_endpoints = wrr.value.addresses
        }
      }
    }
  }
}

resource "google_dns_record_set" "validation" {
  for_each = var.validation_records

  project      = var.project
  managed_zone = google_dns_managed_zone.this.name
  name         = "${trimsuffix(each.key, ".")}."
  type         = "CNAME"
  ttl          = 300
  rrdatas      = ["${trimsuffix(each.value, ".")}."]
}

resource "google_dns_record_set" "caa" {
  project      = var.project
  managed_zone = google_dns_managed_zone.this.name
  name         = "${var.zone}."
  type         = "CAA"
  ttl          = 300
  rrdatas      = [for authority in var.certificate_authorities : "0 issue \"${authority}\""]
}

# Resolvers take the list of name servers from the zone itself, so the zone must name those of both providers.
resource "google_dns_record_set" "ns" {
  count = length(var.other_name_servers) > 0 ? 1 : 0

  project      = var.project
  managed_zone = google_dns_managed_zone.this.name
  name         = "${var.zone}."
  type         = "NS"
  ttl          = 3600
  rrdatas      = sort([for s in concat(google_dns_managed_zone.this.name_servers, var.other_name_servers) : "${trimsuffix(s, ".")}."])
}
