# The server runs as this account. It redirects only, so it needs no right to any store.
resource "google_service_account" "server" {
  project      = var.project
  account_id   = "${var.name}-server"
  display_name = "The server of ${var.name}"
}

# For the collector, which runs beside the server and so as the same account.
resource "google_project_iam_member" "metrics" {
  project = var.project
  role    = "roles/monitoring.metricWriter"
  member  = google_service_account.server.member
}

resource "google_service_account" "mirror" {
  count = var.mirror ? 1 : 0

  project      = var.project
  account_id   = "${var.name}-mirror"
  display_name = "The mirror of ${var.name}"
}
