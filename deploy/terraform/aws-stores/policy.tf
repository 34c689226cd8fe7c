# The bucket policies. `oci-proxyctl store create` puts the same statements.

locals {
  # Roles whose writes cannot carry If-None-Match: a repair replaces the version that it has checked, and S3's
  # replication knows no such header.
  may_replace = concat(
    var.repair == null ? [] : [local.role_arns["repair"]],
    var.replication == null ? [] : [local.role_arns["replication"]],
  )

  readers = {
    for name, arn in local.bucket_arns : name => concat(
      [for _ in range(local.behind_cloudfront[name] ? 0 : 1) : {
        Sid       = "AnybodyReadsBlobsAndInventory"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:GetObject"
        Resource  = ["${arn}/${local.blobs}*", "${arn}/${local.inventory}*"]
      }],
      # The module's distribution may not exist yet. Until then nobody reads.
      [for _ in range(local.behind_cloudfront[name] && contains(keys(var.distributions), name) ? 1 : 0) : {
        Sid       = "CloudFrontReadsBlobsAndInventory"
        Effect    = "Allow"
        Principal = { Service = "cloudfront.amazonaws.com" }
        Action    = "s3:GetObject"
        Resource  = ["${arn}/${local.blobs}*", "${arn}/${local.inventory}*"]
        Condition = { StringEquals = { "AWS:SourceArn" = var.distributions[name] } }
      }],
    )
  }

  # S3 knows If-None-Match on PutObject, CopyObject and CompleteMultipartUpload. For the start of a multipart upload and
  # its parts, ObjectCreationOperation is false:
  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
  without_if_none_match = merge(
    { Bool = { "s3:ObjectCreationOperation" = "true" }, Null = { "s3:if-none-match" = "true" } },
    length(local.may_replace) == 0 ? {} : { ArnNotEquals = { "aws:PrincipalArn" = local.may_replace } },
  )

  bucket_policies = {
    for name, arn in local.bucket_arns : name => jsonencode({
      Version = "2012-10-17"
      Statement = concat(local.readers[name], [
        {
          Sid       = "OnlyOverTLS"
          Effect    = "Deny"
          Principal = "*"
          Action    = "s3:*"
          Resource  = [arn, "${arn}/*"]
          Condition = { Bool = { "aws:SecureTransport" = "false" } }
        },
        {
          Sid       = "BlobsAreNeverReplaced"
          Effect    = "Deny"
          Principal = "*"
          Action    = "s3:PutObject"
          Resource  = "${arn}/${local.blobs}*"
          Condition = local.without_if_none_match
        },
      ])
    })
  }
}

resource "aws_s3_bucket_policy" "store" {
  for_each = var.stores

  bucket = aws_s3_bucket.store[each.key].bucket
  region = each.value.region
  policy = local.bucket_policies[each.key]

  # S3 refuses a public policy as long as Block Public Access forbids it.
  depends_on = [aws_s3_bucket_public_access_block.store]
}
