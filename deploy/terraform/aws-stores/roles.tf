# What each role may do. The writer has the rights in deploy/permissions/aws-writer-policy.json.

locals {
  all_buckets   = [for name in sort(keys(var.stores)) : local.bucket_arns[name]]
  all_blobs     = [for arn in local.all_buckets : "${arn}/${local.blobs}*"]
  all_inventory = [for arn in local.all_buckets : "${arn}/${local.inventory}*"]

  # The writer cannot delete a blob. That it cannot replace one is in the bucket's policy.
  write = [
    {
      Sid      = "LookAndList"
      Effect   = "Allow"
      Action   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
      Resource = local.all_buckets
    },
    {
      Sid      = "WriteBlobsAndInventory"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
      Resource = concat(local.all_blobs, local.all_inventory)
    },
    {
      Sid      = "RemoveOldSegmentsAndProbes"
      Effect   = "Allow"
      Action   = "s3:DeleteObject"
      Resource = local.all_inventory
    },
  ]

  # Purge removes blobs with all their versions, and writes nothing but the inventory.
  purge = [
    {
      Sid      = "LookAndList"
      Effect   = "Allow"
      Action   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketVersions"]
      Resource = local.all_buckets
    },
    {
      Sid      = "ReadBlobs"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:GetObjectVersion"]
      Resource = local.all_blobs
    },
    {
      Sid      = "WriteInventory"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
      Resource = local.all_inventory
    },
    {
      Sid      = "TakeBlobsDown"
      Effect   = "Allow"
      Action   = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
      Resource = local.all_blobs
    },
  ]

  rights = {
    writer = jsonencode({ Version = "2012-10-17", Statement = local.write })
    # A repair has the rights of the writer, and the bucket's policy lets it replace a corrupt blob.
    repair = jsonencode({ Version = "2012-10-17", Statement = local.write })
    purge  = jsonencode({ Version = "2012-10-17", Statement = local.purge })
  }

  purposes = {
    writer = "Fills the stores of oci-proxy: oci-proxyctl mirror, audit, promote."
    repair = "Replaces corrupt blobs in the stores of oci-proxy: oci-proxyctl audit --repair."
    purge  = "Removes blobs from the stores of oci-proxy forever: oci-proxyctl purge."
  }
}

resource "aws_iam_role" "this" {
  for_each = local.trusted

  name                 = "${var.name}-${each.key}"
  description          = local.purposes[each.key]
  assume_role_policy   = local.trust[each.key]
  max_session_duration = 3600 # IAM allows no shorter maximum
  tags                 = local.tags

  lifecycle {
    precondition {
      condition     = startswith(each.value.issuer, "https://")
      error_message = "${each.key}.issuer begins with https://."
    }
    precondition {
      condition     = length(each.value.subjects) > 0 && length(each.value.audiences) > 0
      error_message = "${each.key} needs subjects and audiences. Without them the role would accept every token of the issuer."
    }
    precondition {
      condition = alltrue([
        for s in flatten(values(local.claims[each.key])) : length(s) > 0 && !can(regex("[*?]", s))
      ])
      error_message = "The subjects and audiences of ${each.key} have no wildcards and no empty texts."
    }
    precondition {
      condition = alltrue([
        for s in each.value.subjects : can(regex(lookup(local.subject_forms, local.issuers[each.key].kind, "."), s))
      ])
      error_message = "The subjects of ${each.key} do not have the form of its issuer. See the description of writer."
    }
    precondition {
      condition     = each.key == "writer" || length(setintersection(local.who[each.key], try(local.who["writer"], []))) == 0
      error_message = "The writer must not be able to take the role ${each.key}. Give ${each.key} other subjects."
    }
  }

  depends_on = [aws_iam_openid_connect_provider.this]
}

resource "aws_iam_role_policy" "this" {
  for_each = local.trusted

  name   = "stores"
  role   = aws_iam_role.this[each.key].name
  policy = local.rights[each.key]

  lifecycle {
    precondition {
      condition     = length(local.rights[each.key]) <= 10240
      error_message = "IAM allows 10240 characters in the policies of a role, and ${each.key} has ${length(local.rights[each.key])}. Divide the stores among two calls of the module with different names."
    }
  }
}
