# S3 copies new blobs from one store to others. The inventory is each store's own, so it is never copied. Delete markers
# are not copied either: a deletion in one store must not empty the others.

resource "aws_iam_role" "replication" {
  count = var.replication == null ? 0 : 1

  name        = "${var.name}-replication"
  description = "S3 copies blobs between the stores of oci-proxy."
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "S3Replicates"
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
  max_session_duration = 3600
  tags                 = local.tags
}

resource "aws_iam_role_policy" "replication" {
  count = var.replication == null ? 0 : 1

  name = "blobs"
  role = aws_iam_role.replication[0].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "LookAtTheSource"
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
        Resource = [local.bucket_arns[var.replication.from]]
      },
      {
        Sid      = "ReadBlobs"
        Effect   = "Allow"
        Action   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
        Resource = ["${local.bucket_arns[var.replication.from]}/${local.blobs}*"]
      },
      {
        Sid      = "CopyBlobs"
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateTags"]
        Resource = [for name in var.replication.to : "${local.bucket_arns[name]}/${local.blobs}*"]
      },
    ]
  })
}

resource "aws_s3_bucket_replication_configuration" "this" {
  count = var.replication == null ? 0 : 1

  bucket = aws_s3_bucket.store[var.replication.from].bucket
  region = var.stores[var.replication.from].region
  role   = aws_iam_role.replication[0].arn

  dynamic "rule" {
    for_each = var.replication.to
    content {
      id       = "blobs-to-${rule.value}"
      priority = rule.key + 1
      status   = "Enabled"

      filter {
        prefix = local.blobs
      }
      delete_marker_replication {
        status = "Disabled"
      }
      destination {
        bucket = local.bucket_arns[rule.value]
      }
    }
  }

  # Source and destinations must have versions.
  depends_on = [aws_s3_bucket_versioning.store, aws_iam_role_policy.replication]
}
