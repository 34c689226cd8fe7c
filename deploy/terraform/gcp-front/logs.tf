locals {
  # The lines about requests: the load balancer's, and the server's own.
  requests = join(" OR ", [
    "(resource.type=\"http_load_balancer\" AND resource.labels.url_map_name=(\"${var.name}\" OR \"${var.name}-redirect\"))",
    "(resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}\" AND jsonPayload.msg=\"request\")",
  ])
  # Cloud Run writes a line for each request too, which says what the load balancer's says.
  repeated = "(resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}\" AND log_id(\"run.googleapis.com/requests\"))"
}

resource "google_bigquery_dataset" "requests" {
  project                         = var.project
  dataset_id                      = "${replace(var.name, "-", "_")}_requests"
  location                        = var.logs.location
  default_partition_expiration_ms = var.logs.days * 24 * 60 * 60 * 1000
  labels                          = local.labels
}

resource "google_logging_project_sink" "requests" {
  project                = var.project
  name                   = "${var.name}-requests"
  destination            = "bigquery.googleapis.com/${google_bigquery_dataset.requests.id}"
  filter                 = local.requests
  unique_writer_identity = true

  bigquery_options {
    use_partitioned_tables = true # one table for all days: a query that names a day reads that day only
  }
}

resource "google_bigquery_dataset_iam_member" "requests" {
  project    = var.project
  dataset_id = google_bigquery_dataset.requests.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = google_logging_project_sink.requests.writer_identity
}

# What the sink has is not stored in the bucket _Default a second time. Errors and warnings stay there.
resource "google_logging_project_exclusion" "requests" {
  project     = var.project
  name        = "${var.name}-requests"
  description = "The sink ${google_logging_project_sink.requests.name} has these lines"
  filter      = "${local.requests} OR ${local.repeated}"
}
