# Access logs: who read what. S3 delivers them to a bucket in the same region.

locals {
  log_buckets = { for r in local.regions : r => "${var.name}-logs-${local.account}-${r}" }
  log_arns    = { for r, b in local.log_buckets : r => "arn:${local.partition}:s3:::${b}" }
}

resource "aws_s3_bucket" "logs" {
  for_each = local.regions

  bucket        = local.log_buckets[each.key]
  region        = each.key
  force_destroy = false
  tags          = local.tags

  lifecycle {
    precondition {
      condition     = length(local.log_buckets[each.key]) <= 63
      error_message = "The name of the log bucket ${local.log_buckets[each.key]} has more than 63 characters. Shorten name."
    }
  }
}

resource "aws_s3_bucket_ownership_controls" "logs" {
  for_each = local.regions

  bucket = aws_s3_bucket.logs[each.key].bucket
  region = each.key

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  for_each = local.regions

  bucket = aws_s3_bucket.logs[each.key].bucket
  region = each.key

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256" # S3 delivers logs to buckets with this one only
    }
  }
}

resource "aws_s3_bucket_public_access_block" "logs" {
  for_each = local.regions

  bucket                  = aws_s3_bucket.logs[each.key].bucket
  region                  = each.key
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = true
  restrict_public_buckets = true

  depends_on = [aws_s3_bucket_ownership_controls.logs]
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  for_each = local.regions

  bucket = aws_s3_bucket.logs[each.key].bucket
  region = each.key

  rule {
    id     = "old-logs"
    status = "Enabled"

    filter {}

    expiration {
      days = var.log_days
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "logs" {
  for_each = local.regions

  bucket = aws_s3_bucket.logs[each.key].bucket
  region = each.key
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "S3DeliversLogs"
        Effect    = "Allow"
        Principal = { Service = "logging.s3.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = [for name, s in var.stores : "${local.log_arns[each.key]}/${s.bucket}/*" if s.region == each.key]
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account }
          ArnEquals    = { "aws:SourceArn" = [for name, s in var.stores : local.bucket_arns[name] if s.region == each.key] }
        }
      },
      {
        Sid       = "OnlyOverTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.log_arns[each.key], "${local.log_arns[each.key]}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.logs]
}

resource "aws_s3_bucket_logging" "store" {
  for_each = var.stores

  bucket        = aws_s3_bucket.store[each.key].bucket
  region        = each.value.region
  target_bucket = aws_s3_bucket.logs[each.value.region].bucket
  target_prefix = "${each.value.bucket}/"

  # Keys have the date, so a query reads the days that it asks for.
  target_object_key_format {
    partitioned_prefix {
      partition_date_source = "EventTime"
    }
  }

  depends_on = [aws_s3_bucket_policy.logs]
}
