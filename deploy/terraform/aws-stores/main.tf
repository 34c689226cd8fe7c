# The buckets of one AWS account in one partition, and who may do what in them. Each other file is about one thing.

data "aws_partition" "this" {}

data "aws_caller_identity" "this" {}

locals {
  partition = data.aws_partition.this.partition
  account   = data.aws_caller_identity.this.account_id

  # Keys of a store: internal/store/layout.go has the same.
  blobs     = "containers/images/"
  inventory = "inventory/"

  # ARNs are composed, not read from resources: so they are known in the plan, where tests and reviewers see them.
  bucket_arns = { for name, s in var.stores : name => "arn:${local.partition}:s3:::${s.bucket}" }
  role_arns = {
    for role in ["writer", "repair", "purge", "replication"] :
    role => "arn:${local.partition}:iam::${local.account}:role/${var.name}-${role}"
  }

  # Read by CloudFront only: the account or the organisation forbids public buckets.
  behind_cloudfront = {
    for name, _ in var.stores : name => var.public == "cloudfront" || contains(keys(var.distributions), name)
  }

  tags = merge(var.tags, { "oci-proxy" = var.name })
}
