output "stores" {
  description = "The stores as the config names them, for `oci-proxyctl infra import`."
  value = { for name, s in var.stores : name => {
    bucket        = s.bucket
    bucket_url    = "gs://${s.bucket}"
    region        = s.region
    place         = "gcp/${s.region}"
    url           = "https://storage.googleapis.com/${s.bucket}/containers/images/{digest}"
    inventory_url = "https://storage.googleapis.com/${s.bucket}/inventory/"
    arn           = "projects/_/buckets/${s.bucket}"
    owner         = tostring(google_storage_bucket.store[name].project_number)
  } }
}

output "writer_role" {
  description = "The custom role of the writer."
  value       = "projects/${var.project}/roles/${google_project_iam_custom_role.writer.role_id}"
}

output "writer_members" {
  description = "Who has the writer's role."
  value       = values(local.writers)
}

output "identity_provider" {
  description = "The provider for the external_account file of the writer and for `identity.google.provider` of the chart. Null without `writer`."
  value       = var.writer == null ? null : "${google_iam_workload_identity_pool.writer[0].name}/providers/${local.provider_id}"
}

output "token_audiences" {
  description = "The audiences that a writer's token may have."
  value       = var.writer == null ? [] : google_iam_workload_identity_pool_provider.writer[0].oidc[0].allowed_audiences
}

output "log_buckets" {
  description = "Where the usage logs of each store are."
  value       = { for name, b in google_storage_bucket.log : name => b.name }
}
