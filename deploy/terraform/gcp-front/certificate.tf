# One certificate for each host, proven by DNS: it can be issued before the host points here, and beside another front
# that serves the same host.
resource "google_certificate_manager_dns_authorization" "host" {
  for_each = local.hosts

  project = var.project
  name    = "${var.name}-${replace(each.key, ".", "-")}"
  domain  = each.key
  type    = "PER_PROJECT_RECORD" # its name is this project's, so that another front's record can stand beside it
  labels  = local.labels
}

resource "google_certificate_manager_certificate" "host" {
  for_each = local.hosts

  project = var.project
  name    = "${var.name}-${replace(each.key, ".", "-")}"
  labels  = local.labels

  managed {
    domains            = [each.key]
    dns_authorizations = [google_certificate_manager_dns_authorization.host[each.key].id]
  }
}

resource "google_certificate_manager_certificate_map" "hosts" {
  project = var.project
  name    = var.name
  labels  = local.labels
}

resource "google_certificate_manager_certificate_map_entry" "host" {
  for_each = local.hosts

  project      = var.project
  name         = replace(each.key, ".", "-")
  map          = google_certificate_manager_certificate_map.hosts.name
  hostname     = each.key
  certificates = [google_certificate_manager_certificate.host[each.key].id]
  labels       = local.labels
}
