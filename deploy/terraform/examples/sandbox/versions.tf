terraform {
  # One provider block serves all accounts (for_each), which OpenTofu can since 1.9.
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 7.20, < 8"
    }
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.40"
    }
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "~> 5.12"
    }
  }

  # The state has no secrets, but who writes it owns the buckets. Keep it in a bucket of your own with versions:
  # backend "s3" {
  #   bucket       = "example-tofu-state"
  #   key          = "oci-proxy/production"
  #   region       = "us-east-1"
  #   use_lockfile = true
  # }
}
