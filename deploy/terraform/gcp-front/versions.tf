terraform {
  required_version = ">= 1.9"

  required_providers {
    # `default_uri_disabled` came with 7.6, `readiness_probe` of Cloud Run services later.
    google = {
      source  = "hashicorp/google"
      version = ">= 7.20, < 8"
    }
  }
}
