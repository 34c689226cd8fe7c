# Usage logs are the only logs with the reads of anonymous clients: Cloud Audit Logs leave out public objects.
resource "google_storage_bucket" "log" {
  for_each = var.log_days > 0 ? var.stores : {}

  project  = var.project
  name     = "${each.value.bucket}-logs"
  location = upper(each.value.region)
  labels   = var.labels

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  soft_delete_policy {
    retention_duration_seconds = 0
  }
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = var.log_days
    }
  }
}

resource "google_storage_bucket_iam_member" "log_writer" {
  for_each = google_storage_bucket.log

  bucket = each.value.name
  role   = "roles/storage.objectCreator"
  member = "group:cloud-storage-analytics@google.com"
}
