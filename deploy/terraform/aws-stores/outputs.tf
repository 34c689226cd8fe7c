locals {
  hosts = {
    for name, s in var.stores : name =>
    local.behind_cloudfront[name] && s.host != null
    ? s.host
    : "${s.bucket}.s3.dualstack.${s.region}.${data.aws_partition.this.dns_suffix}"
  }
}

output "stores" {
  description = "Name of each store => what the config must say about it. `oci-proxyctl infra import` reads it."
  value = {
    for name, s in var.stores : name => {
      bucket        = s.bucket
      region        = s.region
      url           = "https://${local.hosts[name]}/${local.blobs}{digest}"
      inventory_url = "https://${local.hosts[name]}/${local.inventory}"
      arn           = local.bucket_arns[name]
      owner         = local.account
    }
  }
}

output "writer_role_arn" {
  description = "The role of mirror, audit and promote; null if there is none."
  value       = one([for role, r in aws_iam_role.this : r.arn if role == "writer"])
}

output "repair_role_arn" {
  description = "The role of audit --repair; null if there is none."
  value       = one([for role, r in aws_iam_role.this : r.arn if role == "repair"])
}

output "purge_role_arn" {
  description = "The role of purge; null if there is none."
  value       = one([for role, r in aws_iam_role.this : r.arn if role == "purge"])
}

output "replication_role_arn" {
  description = "The role that S3 takes to copy blobs; null if there is none."
  value       = one(aws_iam_role.replication[*].arn)
}

output "log_buckets" {
  description = "Region => the bucket of its access logs."
  value       = local.log_buckets
}

output "budget_topic_arn" {
  description = "The SNS topic of the alarm on costs; null if there is none."
  value       = one(aws_sns_topic.budget[*].arn)
}

output "opt_in_regions" {
  description = "Region that the account must enable before its first bucket => the command that does it."
  value       = local.enable_commands
}

output "endpoint_policies" {
  description = <<-EOT
    Region => a policy for users who reach S3 through a VPC endpoint with a policy. They add its statement to theirs. A
    gateway endpoint reaches the buckets of its own region only.
  EOT
  value = {
    for r in local.regions : r => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Sid       = "PullLayersThroughOCIProxy"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:GetObject"
        Resource = [
          for name in sort(keys(var.stores)) : "${local.bucket_arns[name]}/${local.blobs}*" if var.stores[name].region == r
        ]
      }]
    })
  }
}

output "bucket_policies" {
  description = "Name of each store => the policy of its bucket, as JSON."
  value       = local.bucket_policies
}
