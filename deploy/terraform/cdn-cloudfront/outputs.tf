output "stores" {
  description = "The store as the config names it, for `oci-proxyctl infra import`."
  value = { (var.name) = {
    bucket        = var.bucket
    bucket_url    = "s3://${var.bucket}?region=${var.region}"
    region        = var.region
    place         = ""
    cdn           = "cloudfront"
    url           = "https://${var.host}/containers/images/{digest}"
    inventory_url = "https://${var.host}/inventory/"
    arn           = aws_cloudfront_distribution.store.arn
    owner         = var.account
  } }
}

output "distributions" {
  description = "The distribution's ARN by the store's name: the input `distributions` of aws-stores, for a private bucket."
  value       = { (var.name) = aws_cloudfront_distribution.store.arn }
}

output "distribution_id" {
  description = "The distribution, for `aws cloudfront create-invalidation`."
  value       = aws_cloudfront_distribution.store.id
}

output "target" {
  description = "What the host's DNS records (A and AAAA, or CNAME) point to."
  value       = { name = aws_cloudfront_distribution.store.domain_name, zone = aws_cloudfront_distribution.store.hosted_zone_id }
}

output "log_bucket" {
  description = "Where the logs are; null without logs."
  value       = one(aws_s3_bucket.log[*].bucket)
}
