resource "google_iam_workload_identity_pool" "writer" {
  count = var.writer == null ? 0 : 1

  project                   = var.project
  workload_identity_pool_id = local.pool_id
  display_name              = "oci-proxy writer"
}

# Google's token service refuses a token of another issuer, another audience or another subject. The roles above name
# the subjects again, so that a wider provider alone gives no rights.
resource "google_iam_workload_identity_pool_provider" "writer" {
  count = var.writer == null ? 0 : 1

  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.writer[0].workload_identity_pool_id
  workload_identity_pool_provider_id = local.provider_id
  attribute_mapping                  = { "google.subject" = "assertion.sub" }
  attribute_condition                = "assertion.sub in [${join(", ", [for s in local.federated : "'${s}'"])}]"
  oidc {
    issuer_uri        = var.writer.issuer
    allowed_audiences = length(var.writer.audiences) > 0 ? var.writer.audiences : ["https://iam.googleapis.com/${google_iam_workload_identity_pool.writer[0].name}/providers/${local.provider_id}"]
    jwks_json         = var.writer.jwks
  }
}
