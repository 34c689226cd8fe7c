locals {
  endpoint = "https://${var.account}${var.jurisdiction == "default" ? "" : ".${var.jurisdiction}"}.r2.cloudflarestorage.com"
}

output "stores" {
  description = "The stores as the config names them, for `oci-proxyctl infra import`."
  value = { for name, s in var.stores : name => {
    bucket        = s.bucket
    bucket_url    = "s3://${s.bucket}?region=auto&endpoint=${local.endpoint}"
    region        = "auto"
    place         = ""
    cdn           = "cloudflare-r2"
    url           = "https://${s.host}/containers/images/{digest}"
    inventory_url = "https://${s.host}/inventory/"
    arn           = "com.cloudflare.edge.r2.bucket.${var.account}_${var.jurisdiction}_${s.bucket}"
    owner         = "" # R2 does not check it
  } }
}

output "token_resources" {
  description = "What the writer's token must be limited to: the `resources` of its policy, one for each bucket."
  value       = { for name, s in var.stores : "com.cloudflare.edge.r2.bucket.${var.account}_${var.jurisdiction}_${s.bucket}" => "*" }
}
