mock_provider "cloudflare" {}

variables {
  account = "0123456789abcdef0123456789abcdef"
  stores  = { r2 = { bucket = "layers", host = "layers.example.org" } }
  zones   = { r2 = "fedcba9876543210fedcba9876543210" }
}

run "promises" {
  command = plan
  assert {
    condition     = cloudflare_r2_custom_domain.store["r2"].domain == "layers.example.org" && cloudflare_r2_custom_domain.store["r2"].enabled && cloudflare_r2_custom_domain.store["r2"].min_tls == "1.2"
    error_message = "Clients read under the domain, with TLS 1.2 or later."
  }
  assert {
    condition     = !cloudflare_r2_managed_domain.store["r2"].enabled
    error_message = "r2.dev is off."
  }
  assert {
    condition     = cloudflare_zone_setting.https_only["fedcba9876543210fedcba9876543210"].setting_id == "always_use_https" && cloudflare_zone_setting.https_only["fedcba9876543210fedcba9876543210"].value == "on"
    error_message = "Plain HTTP is sent to HTTPS."
  }
  assert {
    condition     = [for r in cloudflare_r2_bucket_lock.store["r2"].rules : [r.prefix, r.condition.type, tostring(r.enabled)]] == [["containers/images/", "Indefinite", "true"]]
    error_message = "No token replaces or removes a blob."
  }
  assert {
    condition     = [for r in cloudflare_r2_bucket_lifecycle.store["r2"].rules : r.abort_multipart_uploads_transition.condition.max_age if r.enabled && r.delete_objects_transition == null] == [604800]
    error_message = "Unfinished uploads end after 7 days, and no object expires."
  }
}

run "purge_needs_the_lock_open" {
  command = plan
  variables {
    lock_blobs = false
  }
  assert {
    condition     = length(cloudflare_r2_bucket_lock.store) == 0
    error_message = "The lock can be taken off."
  }
}

run "what_the_token_is_limited_to" {
  command = plan
  variables {
    jurisdiction = "eu"
  }
  assert {
    condition     = output.token_resources == { "com.cloudflare.edge.r2.bucket.0123456789abcdef0123456789abcdef_eu_layers" = "*" }
    error_message = "The token is for the bucket only."
  }
  assert {
    condition     = output.stores.r2.bucket_url == "s3://layers?region=auto&endpoint=https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com"
    error_message = "A jurisdiction has an endpoint of its own."
  }
}

run "r2_dev_is_refused" {
  command = plan
  variables {
    stores = { r2 = { bucket = "layers", host = "pub-0123.r2.dev" } }
  }
  expect_failures = [var.stores]
}

run "a_store_without_a_zone_is_refused" {
  command = plan
  variables {
    zones = {}
  }
  expect_failures = [var.zones]
}
