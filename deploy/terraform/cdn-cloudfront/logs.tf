locals {
  # `oci-proxyctl report --logs` reads the format w3c. It takes the names from the line #Fields. x-host-header tells the
  # store: cs(Host) is the distribution's own name.
  fields = [
    "date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem", "sc-status",
    "cs(User-Agent)", "x-edge-result-type", "x-edge-request-id", "x-host-header", "cs-protocol", "time-taken", "ssl-protocol",
    "cs-protocol-version", "time-to-first-byte", "x-edge-detailed-result-type", "sc-content-len", "sc-range-start",
    "sc-range-end",
  ]
  logs       = var.log_days > 0 ? 1 : 0
  partition  = split(":", var.certificate_arn)[1]
  log_bucket = "${var.bucket}-cdn-logs"
  log_arn    = "arn:${local.partition}:s3:::${local.log_bucket}"
}

resource "aws_s3_bucket" "log" {
  count = local.logs

  region = var.region
  bucket = local.log_bucket
  tags   = var.tags
}

resource "aws_s3_bucket_ownership_controls" "log" {
  count = local.logs

  region = var.region
  bucket = aws_s3_bucket.log[0].bucket
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "log" {
  count = local.logs

  region                  = var.region
  bucket                  = aws_s3_bucket.log[0].bucket
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "log" {
  count = local.logs

  region = var.region
  bucket = aws_s3_bucket.log[0].bucket
  rule {
    id     = "expire"
    status = "Enabled"
    filter {}
    expiration {
      days = var.log_days
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_policy" "log" {
  count = local.logs

  region = var.region
  bucket = aws_s3_bucket.log[0].bucket
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "LogDelivery"
        Effect    = "Allow"
        Principal = { Service = "delivery.logs.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${local.log_arn}/AWSLogs/${var.account}/CloudFront/*"
        Condition = {
          StringEquals = { "aws:SourceAccount" = var.account, "s3:x-amz-acl" = "bucket-owner-full-control" }
          ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:logs:us-east-1:${var.account}:delivery-source:${var.name}-cdn" }
        }
      },
      {
        Sid       = "OnlyOverTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.log_arn, "${local.log_arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

# CloudFront's logs are set up in us-east-1, wherever the bucket lies.
resource "aws_cloudwatch_log_delivery_source" "log" {
  count = local.logs

  region       = "us-east-1"
  name         = "${var.name}-cdn"
  log_type     = "ACCESS_LOGS"
  resource_arn = aws_cloudfront_distribution.store.arn
}

resource "aws_cloudwatch_log_delivery_destination" "log" {
  count = local.logs

  region        = "us-east-1"
  name          = "${var.name}-cdn"
  output_format = "w3c"
  delivery_destination_configuration {
    destination_resource_arn = local.log_arn
  }
  depends_on = [aws_s3_bucket_policy.log]
}

resource "aws_cloudwatch_log_delivery" "log" {
  count = local.logs

  region                   = "us-east-1"
  delivery_source_name     = aws_cloudwatch_log_delivery_source.log[0].name
  delivery_destination_arn = aws_cloudwatch_log_delivery_destination.log[0].arn
  field_delimiter          = "\t"
  record_fields            = local.fields
}
