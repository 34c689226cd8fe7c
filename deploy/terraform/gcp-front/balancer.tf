resource "google_compute_region_network_endpoint_group" "region" {
  for_each = var.regions

  project               = var.project
  name                  = "${var.name}-${each.key}"
  region                = each.key
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloud_run_v2_service.server[each.key].name
  }
}

# It sends a client to the nearest region that is healthy. A serverless backend takes no health check of its own: Cloud
# Run reports the result of the readiness probes.
resource "google_compute_backend_service" "server" {
  project               = var.project
  name                  = var.name
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  enable_cdn            = false # the redirect of one client must never reach another client
  security_policy       = google_compute_security_policy.edge.id

  dynamic "backend" {
    for_each = google_compute_region_network_endpoint_group.region
    content {
      group = backend.value.id
    }
  }

  log_config {
    enable      = true
    sample_rate = var.logs.share
  }
}

resource "google_compute_url_map" "https" {
  project         = var.project
  name            = var.name
  default_service = google_compute_backend_service.server.id
}

resource "google_compute_url_map" "redirect" {
  project = var.project
  name    = "${var.name}-redirect"

  default_url_redirect {
    https_redirect         = true
    redirect_response_code = "MOVED_PERMANENTLY_DEFAULT"
    strip_query            = false
  }
}

resource "google_compute_ssl_policy" "https" {
  project         = var.project
  name            = var.name
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_target_https_proxy" "https" {
  project         = var.project
  name            = var.name
  url_map         = google_compute_url_map.https.id
  certificate_map = "//certificatemanager.googleapis.com/${google_certificate_manager_certificate_map.hosts.id}"
  ssl_policy      = google_compute_ssl_policy.https.id
}

resource "google_compute_target_http_proxy" "redirect" {
  project = var.project
  name    = "${var.name}-redirect"
  url_map = google_compute_url_map.redirect.id
}

locals {
  families = { ipv4 = "IPV4", ipv6 = "IPV6" }
}

resource "google_compute_global_address" "front" {
  for_each = local.families

  project      = var.project
  name         = "${var.name}-${each.key}"
  address_type = "EXTERNAL"
  ip_version   = each.value
  labels       = local.labels
}

resource "google_compute_global_forwarding_rule" "https" {
  for_each = local.families

  project               = var.project
  name                  = "${var.name}-${each.key}"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.front[each.key].id
  ip_protocol           = "TCP"
  port_range            = "443"
  target                = google_compute_target_https_proxy.https.id
  labels                = local.labels
}

resource "google_compute_global_forwarding_rule" "redirect" {
  for_each = local.families

  project               = var.project
  name                  = "${var.name}-redirect-${each.key}"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.front[each.key].id
  ip_protocol           = "TCP"
  port_range            = "80"
  target                = google_compute_target_http_proxy.redirect.id
  labels                = local.labels
}
