resource "google_storage_bucket" "store" {
  for_each = var.stores

  project  = var.project
  name     = each.value.bucket
  location = upper(each.value.region)
  labels   = var.labels

  # Only IAM counts, and IAM may make objects public. An organisation that enforces prevention still wins.
  uniform_bucket_level_access = true
  public_access_prevention    = "inherited"
  force_destroy               = false

  versioning {
    enabled = var.keep.method == "versions"
  }
  soft_delete_policy {
    retention_duration_seconds = var.keep.method == "soft-delete" ? var.keep.days * 86400 : 0
  }
  dynamic "lifecycle_rule" {
    for_each = var.keep.method == "versions" ? [var.keep.days] : []
    content {
      action {
        type = "Delete"
      }
      condition {
        days_since_noncurrent_time = lifecycle_rule.value
        with_state                 = "ARCHIVED"
      }
    }
  }
  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }

  dynamic "logging" {
    for_each = var.log_days > 0 ? [each.key] : []
    content {
      log_bucket        = google_storage_bucket.log[each.key].name
      log_object_prefix = "usage"
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

# Anybody may get an object whose name they know. The role has no right to list. Google permits no condition on
# allUsers, so this covers the whole bucket: keep nothing else in it.
resource "google_storage_bucket_iam_member" "anybody" {
  for_each = var.stores

  bucket = google_storage_bucket.store[each.key].name
  role   = "roles/storage.legacyObjectReader"
  member = "allUsers"
}

# For all buckets of the project: a bucket has no such setting of its own.
resource "google_org_policy_policy" "https_only" {
  count = var.https_only ? 1 : 0

  name   = "projects/${var.project}/policies/storage.secureHttpTransport"
  parent = "projects/${var.project}"
  spec {
    rules {
      enforce = "TRUE"
    }
  }
}
