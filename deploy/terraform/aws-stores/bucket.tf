resource "aws_s3_bucket" "store" {
  for_each = var.stores

  bucket        = each.value.bucket
  region        = each.value.region
  force_destroy = false
  tags          = merge(local.tags, { "oci-proxy-store" = each.key })

  lifecycle {
    precondition {
      condition     = var.account == "" || var.account == local.account
      error_message = "The provider's account is ${local.account}, but these stores belong to ${var.account}. Give the module the provider of that account."
    }
    precondition {
      condition     = coalesce(local.partition_of[each.value.region], "aws") == local.partition
      error_message = "Region ${each.value.region} of store ${each.key} is not in the provider's partition ${local.partition}. Call the module once for each partition."
    }
    precondition {
      condition     = !contains(local.regions_off, each.value.region)
      error_message = "Region ${each.value.region} of store ${each.key} is not enabled in this account. Enable it, wait some minutes, and apply again: aws account enable-region --region-name ${each.value.region}"
    }
  }
}

# No object has an ACL, and the bucket's owner owns what others write.
resource "aws_s3_bucket_ownership_controls" "store" {
  for_each = var.stores

  bucket = aws_s3_bucket.store[each.key].bucket
  region = each.value.region

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

# Anonymous clients cannot read objects that are encrypted with a key of KMS.
resource "aws_s3_bucket_server_side_encryption_configuration" "store" {
  for_each = var.stores

  bucket = aws_s3_bucket.store[each.key].bucket
  region = each.value.region

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "store" {
  for_each = var.stores

  bucket = aws_s3_bucket.store[each.key].bucket
  region = each.value.region

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "store" {
  for_each = var.stores

  bucket = aws_s3_bucket.store[each.key].bucket
  region = each.value.region

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }
    expiration {
      expired_object_delete_marker = true
    }
  }

  rule {
    id     = "unfinished-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = var.unfinished_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.store]
}

# ACLs stay blocked always. A policy that lets anonymous clients read is blocked only where no client reads so.
resource "aws_s3_bucket_public_access_block" "store" {
  for_each = var.stores

  bucket                  = aws_s3_bucket.store[each.key].bucket
  region                  = each.value.region
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = local.behind_cloudfront[each.key]
  restrict_public_buckets = local.behind_cloudfront[each.key]

  depends_on = [aws_s3_bucket_ownership_controls.store]
}
