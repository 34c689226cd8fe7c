# A config contains no secret, but Cloud Run mounts files as secrets only.
resource "google_secret_manager_secret" "config" {
  count = var.config.text == null ? 0 : 1

  project   = var.project
  secret_id = "${var.name}-config"
  labels    = local.labels

  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "config" {
  count = var.config.text == null ? 0 : 1

  secret          = google_secret_manager_secret.config[0].id
  secret_data     = var.config.text
  deletion_policy = "DISABLE" # an earlier revision still needs it, when traffic goes back
}

resource "google_secret_manager_secret_iam_member" "config" {
  count = var.config.text == null ? 0 : 1

  project   = var.project
  secret_id = google_secret_manager_secret.config[0].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.server.member
}

locals {
  config_env = var.config.publication == null ? { OCI_PROXY_CONFIG = "/config/proxy.yaml" } : {
    OCI_PROXY_CONFIG      = var.config.publication.url
    OCI_PROXY_DEPLOYMENT  = var.config.publication.deployment
    OCI_PROXY_CONFIG_KEYS = join(",", var.config.publication.keys)
  }
  server_env = merge(local.config_env, {
    # Nine tenths of the container's memory, as docs/sizing.md says.
    GOMEMLIMIT = "${floor(var.memory_mib * 0.9)}MiB"
  })
}
