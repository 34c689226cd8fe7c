resource "cloudflare_r2_bucket" "store" {
  for_each = var.stores

  account_id    = var.account
  name          = each.value.bucket
  jurisdiction  = var.jurisdiction
  location      = lookup(var.location, each.key, null)
  storage_class = "Standard"

  lifecycle {
    prevent_destroy = true
  }
}

# Clients read here. There is no list at a custom domain, and the S3 endpoint wants a token.
resource "cloudflare_r2_custom_domain" "store" {
  for_each = var.stores

  account_id   = var.account
  bucket_name  = cloudflare_r2_bucket.store[each.key].name
  jurisdiction = var.jurisdiction
  domain       = each.value.host
  zone_id      = lookup(var.zones, each.key, "")
  enabled      = true
  min_tls      = "1.2"
}

resource "cloudflare_r2_managed_domain" "store" {
  for_each = var.stores

  account_id   = var.account
  bucket_name  = cloudflare_r2_bucket.store[each.key].name
  jurisdiction = var.jurisdiction
  enabled      = false # r2.dev would be a second way in, with no minimum of TLS
}

resource "cloudflare_zone_setting" "https_only" {
  for_each = toset(var.always_use_https ? [for name in keys(var.stores) : lookup(var.zones, name, "")] : [])

  zone_id    = each.key
  setting_id = "always_use_https"
  value      = "on"
}

resource "cloudflare_r2_bucket_lifecycle" "store" {
  for_each = var.stores

  account_id   = var.account
  bucket_name  = cloudflare_r2_bucket.store[each.key].name
  jurisdiction = var.jurisdiction
  rules = [{
    id         = "abort-unfinished-uploads"
    enabled    = true
    conditions = { prefix = "" }
    abort_multipart_uploads_transition = {
      condition = { type = "Age", max_age = 7 * 86400 }
    }
    delete_objects_transition = null # blobs stay
    storage_class_transitions = null
  }]
}

# The inventory is not locked: its head is replaced, and old segments are removed.
resource "cloudflare_r2_bucket_lock" "store" {
  for_each = var.lock_blobs ? var.stores : {}

  account_id   = var.account
  bucket_name  = cloudflare_r2_bucket.store[each.key].name
  jurisdiction = var.jurisdiction
  rules = [{
    id        = "blobs"
    enabled   = true
    prefix    = "containers/images/"
    condition = { type = "Indefinite", date = null, max_age_seconds = null }
  }]
}
