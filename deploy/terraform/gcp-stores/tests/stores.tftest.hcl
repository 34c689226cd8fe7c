mock_provider "google" {}

variables {
  project = "layers-prod"
  stores = {
    gcs-euw1 = { bucket = "layers-euw1", region = "europe-west1" }
    gcs-use1 = { bucket = "layers-use1", region = "us-east1" }
  }
  writer = {
    issuer    = "https://oidc.example.org/cluster"
    subjects  = ["system:serviceaccount:oci-proxy:mirror"]
    audiences = ["https://gcs.example.org/writer"]
  }
}

run "promises" {
  command = plan
  assert {
    condition     = alltrue([for b in values(google_storage_bucket.store) : b.uniform_bucket_level_access && b.public_access_prevention == "inherited" && !b.force_destroy])
    error_message = "A store's bucket has rights by IAM only, and may be public."
  }
  assert {
    condition     = google_storage_bucket.store["gcs-euw1"].location == "EUROPE-WEST1"
    error_message = "The bucket lies in the region of its place."
  }
  assert {
    condition     = !google_storage_bucket.store["gcs-euw1"].versioning[0].enabled && google_storage_bucket.store["gcs-euw1"].soft_delete_policy[0].retention_duration_seconds == 604800
    error_message = "What is removed is kept for 7 days."
  }
  assert {
    condition     = one(flatten([for r in google_storage_bucket.store["gcs-euw1"].lifecycle_rule : [for c in r.condition : c.age] if one([for a in r.action : a.type]) == "AbortIncompleteMultipartUpload"])) == 7
    error_message = "Unfinished uploads end after 7 days."
  }
  assert {
    condition     = alltrue([for m in values(google_storage_bucket_iam_member.anybody) : m.member == "allUsers" && m.role == "roles/storage.legacyObjectReader"]) && length(google_storage_bucket_iam_member.anybody) == 2
    error_message = "Anybody gets objects. Only legacyObjectReader has no right to list."
  }
  assert {
    condition     = !contains(google_project_iam_custom_role.writer.permissions, "storage.objects.delete")
    error_message = "The writer's role cannot delete."
  }
  assert {
    condition     = google_project_iam_custom_role.remover.permissions == toset(["storage.objects.delete"])
    error_message = "The remover's role deletes, and nothing else."
  }
  assert {
    condition     = alltrue([for m in values(google_storage_bucket_iam_member.inventory) : m.role == "projects/layers-prod/roles/ociProxyRemover" && length(m.condition) == 1])
    error_message = "The writer gets the right to delete with a condition only."
  }
  assert {
    condition     = google_storage_bucket_iam_member.inventory["gcs-euw1 subject system:serviceaccount:oci-proxy:mirror"].condition[0].expression == "resource.name.startsWith(\"projects/_/buckets/layers-euw1/objects/inventory/\")"
    error_message = "The condition names the bucket's inventory."
  }
  assert {
    condition     = alltrue([for m in concat(values(google_storage_bucket_iam_member.writer), values(google_storage_bucket_iam_member.inventory)) : m.member != "allUsers" && m.member != "allAuthenticatedUsers"])
    error_message = "Nobody writes without a name."
  }
  assert {
    condition     = length(google_storage_bucket_iam_member.purge) == 0
    error_message = "Nobody may purge unless named."
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.writer[0].attribute_condition == "assertion.sub in ['system:serviceaccount:oci-proxy:mirror']"
    error_message = "The subject is named exactly."
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.writer[0].oidc[0].allowed_audiences == tolist(["https://gcs.example.org/writer"]) && google_iam_workload_identity_pool_provider.writer[0].oidc[0].issuer_uri == "https://oidc.example.org/cluster"
    error_message = "Issuer and audience are named exactly."
  }
  assert {
    condition     = google_storage_bucket.store["gcs-euw1"].logging[0].log_bucket == "layers-euw1-logs" && google_storage_bucket.log["gcs-euw1"].location == "EUROPE-WEST1"
    error_message = "Logs go to a bucket in the same region."
  }
  assert {
    condition     = google_storage_bucket.log["gcs-euw1"].public_access_prevention == "enforced" && one(flatten([for r in google_storage_bucket.log["gcs-euw1"].lifecycle_rule : [for c in r.condition : c.age]])) == 90
    error_message = "The logs are private and expire."
  }
  assert {
    condition     = google_org_policy_policy.https_only[0].name == "projects/layers-prod/policies/storage.secureHttpTransport" && google_org_policy_policy.https_only[0].spec[0].rules[0].enforce == "TRUE"
    error_message = "Google refuses plain HTTP for the project."
  }
}

run "versions" {
  command = plan
  variables {
    keep = { method = "versions", days = 30 }
  }
  assert {
    condition     = google_storage_bucket.store["gcs-use1"].versioning[0].enabled && google_storage_bucket.store["gcs-use1"].soft_delete_policy[0].retention_duration_seconds == 0
    error_message = "Versions replace soft delete."
  }
  assert {
    condition     = one(flatten([for r in google_storage_bucket.store["gcs-use1"].lifecycle_rule : [for c in r.condition : c.days_since_noncurrent_time] if one([for a in r.action : a.type]) == "Delete"])) == 30
    error_message = "Versions that were replaced expire."
  }
}

run "purge_is_apart" {
  command = plan
  variables {
    purge_members = ["group:oncall@example.org"]
  }
  assert {
    condition     = length(google_storage_bucket_iam_member.purge) == 2 && strcontains(google_storage_bucket_iam_member.purge["gcs-use1 group:oncall@example.org"].condition[0].expression, "projects/_/buckets/layers-use1/objects/containers/images/")
    error_message = "Who purges may delete blobs."
  }
}

run "without_a_writer_there_is_no_trust" {
  command = plan
  variables {
    writer = null
  }
  assert {
    condition     = length(google_iam_workload_identity_pool.writer) == 0 && length(google_storage_bucket_iam_member.writer) == 0
    error_message = "No identity is made that nobody asked for."
  }
}

run "a_multi_region_is_refused" {
  command = plan
  variables {
    stores = { gcs = { bucket = "layers", region = "eu" } }
  }
  expect_failures = [var.stores]
}

run "a_wildcard_subject_is_refused" {
  command = plan
  variables {
    writer = { issuer = "https://oidc.example.org", subjects = ["system:serviceaccount:*"] }
  }
  expect_failures = [var.writer]
}

run "a_writer_that_is_everybody_is_refused" {
  command = plan
  variables {
    writer_members = ["allUsers"]
  }
  expect_failures = [var.writer_members]
}

run "a_purger_that_is_everybody_is_refused" {
  command = plan
  variables {
    purge_members = ["allAuthenticatedUsers"]
  }
  expect_failures = [var.purge_members]
}
