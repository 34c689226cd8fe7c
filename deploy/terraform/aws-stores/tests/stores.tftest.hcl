# What the module promises for the buckets. `tofu test` runs it without an account.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_regions" {
    defaults = { names = ["ap-east-2"] }
  }
}

variables {
  stores = {
    s3-use1 = { bucket = "prod-use1", region = "us-east-1" }
    s3-mxc1 = { bucket = "prod-mxc1", region = "mx-central-1", host = "cdn.example.org" }
  }
}

run "each_store_has_a_bucket_in_its_region" {
  command = plan

  assert {
    condition     = { for n, b in aws_s3_bucket.store : n => "${b.bucket} ${b.region}" } == { s3-use1 = "prod-use1 us-east-1", s3-mxc1 = "prod-mxc1 mx-central-1" }
    error_message = "Each store has its bucket in its region."
  }
  assert {
    condition     = alltrue([for b in aws_s3_bucket.store : !b.force_destroy])
    error_message = "A bucket with objects is not destroyed."
  }
  assert {
    condition     = alltrue([for c in aws_s3_bucket_ownership_controls.store : c.rule[0].object_ownership == "BucketOwnerEnforced"])
    error_message = "ACLs are off."
  }
  assert {
    condition = alltrue([for c in aws_s3_bucket_server_side_encryption_configuration.store :
      one(c.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
    ])
    error_message = "Objects are encrypted with SSE-S3, which anonymous clients can read."
  }
  assert {
    condition     = alltrue([for v in aws_s3_bucket_versioning.store : v.versioning_configuration[0].status == "Enabled"])
    error_message = "Versions are kept."
  }
  assert {
    condition = alltrue([for l in aws_s3_bucket_lifecycle_configuration.store :
      l.rule[0].noncurrent_version_expiration[0].noncurrent_days == 7 && l.rule[0].expiration[0].expired_object_delete_marker
    ])
    error_message = "Old versions expire after 7 days."
  }
  assert {
    condition = alltrue([for l in aws_s3_bucket_lifecycle_configuration.store :
      l.rule[1].abort_incomplete_multipart_upload[0].days_after_initiation == 3
    ])
    error_message = "Parts of unfinished uploads are removed."
  }
}

run "anonymous_clients_read_and_nothing_else" {
  command = plan

  assert {
    condition = alltrue([for b in aws_s3_bucket_public_access_block.store :
      b.block_public_acls && b.ignore_public_acls && !b.block_public_policy && !b.restrict_public_buckets
    ])
    error_message = "ACLs stay blocked, and the policy can be put."
  }
  assert {
    condition = [for s in jsondecode(aws_s3_bucket_policy.store["s3-use1"].policy).Statement : "${s.Effect} ${s.Sid}"] == [
      "Allow AnybodyReadsBlobsAndInventory", "Deny OnlyOverTLS", "Deny BlobsAreNeverReplaced",
    ]
    error_message = "The policy has these statements in this order."
  }
  assert {
    condition     = [for s in jsondecode(aws_s3_bucket_policy.store["s3-use1"].policy).Statement : s.Action if s.Effect == "Allow"] == ["s3:GetObject"]
    error_message = "The only public right is to read an object."
  }
  assert {
    condition = jsondecode(aws_s3_bucket_policy.store["s3-use1"].policy).Statement[2] == {
      Sid       = "BlobsAreNeverReplaced"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = "arn:aws:s3:::prod-use1/containers/images/*"
      Condition = { Bool = { "s3:ObjectCreationOperation" = "true" }, Null = { "s3:if-none-match" = "true" } }
    }
    error_message = "A blob is written with If-None-Match only."
  }
}

run "cloudfront_reads_where_public_buckets_are_forbidden" {
  command = plan

  variables {
    public        = "cloudfront"
    distributions = { s3-mxc1 = "arn:aws:cloudfront::123456789012:distribution/E123" }
  }

  assert {
    condition = alltrue([for b in aws_s3_bucket_public_access_block.store :
      b.block_public_acls && b.ignore_public_acls && b.block_public_policy && b.restrict_public_buckets
    ])
    error_message = "Block Public Access is complete."
  }
  assert {
    condition = jsondecode(aws_s3_bucket_policy.store["s3-mxc1"].policy).Statement[0] == {
      Sid       = "CloudFrontReadsBlobsAndInventory"
      Effect    = "Allow"
      Principal = { Service = "cloudfront.amazonaws.com" }
      Action    = "s3:GetObject"
      Resource  = ["arn:aws:s3:::prod-mxc1/containers/images/*", "arn:aws:s3:::prod-mxc1/inventory/*"]
      Condition = { StringEquals = { "AWS:SourceArn" = "arn:aws:cloudfront::123456789012:distribution/E123" } }
    }
    error_message = "Only this distribution reads."
  }
  assert {
    condition     = [for s in jsondecode(aws_s3_bucket_policy.store["s3-use1"].policy).Statement : s.Effect] == ["Deny", "Deny"]
    error_message = "Without a distribution nobody reads."
  }
  assert {
    condition     = output.stores["s3-mxc1"].url == "https://cdn.example.org/containers/images/{digest}"
    error_message = "Clients are sent to the host of the distribution."
  }
}

run "one_store_behind_cloudfront" {
  command = plan

  variables {
    distributions = { s3-mxc1 = "arn:aws:cloudfront::123456789012:distribution/E123" }
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.store["s3-mxc1"].block_public_policy && !aws_s3_bucket_public_access_block.store["s3-use1"].block_public_policy
    error_message = "Only the store with a distribution is closed."
  }
}

run "access_logs_go_to_the_same_region" {
  command = plan

  assert {
    condition = alltrue([for n, l in aws_s3_bucket_logging.store :
      l.target_bucket == "oci-proxy-logs-123456789012-${l.region}" && l.region == aws_s3_bucket.store[n].region
    ])
    error_message = "S3 delivers logs within a region only."
  }
  assert {
    condition     = alltrue([for l in aws_s3_bucket_logging.store : l.target_object_key_format[0].partitioned_prefix[0].partition_date_source == "EventTime"])
    error_message = "Logs are partitioned by date."
  }
  assert {
    condition     = alltrue([for l in aws_s3_bucket_lifecycle_configuration.logs : l.rule[0].expiration[0].days == 90])
    error_message = "Logs expire."
  }
  assert {
    condition = alltrue([for b in aws_s3_bucket_public_access_block.logs :
      b.block_public_acls && b.ignore_public_acls && b.block_public_policy && b.restrict_public_buckets
    ])
    error_message = "Logs are never public."
  }
  assert {
    condition = jsondecode(aws_s3_bucket_policy.logs["us-east-1"].policy).Statement[0] == {
      Sid       = "S3DeliversLogs"
      Effect    = "Allow"
      Principal = { Service = "logging.s3.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = ["arn:aws:s3:::oci-proxy-logs-123456789012-us-east-1/prod-use1/*"]
      Condition = {
        ArnEquals    = { "aws:SourceArn" = ["arn:aws:s3:::prod-use1"] }
        StringEquals = { "aws:SourceAccount" = "123456789012" }
      }
    }
    error_message = "Only S3 writes logs, and only those of this bucket."
  }
}

run "replication_has_blobs_only" {
  command = plan

  variables {
    replication = { from = "s3-use1", to = ["s3-mxc1"] }
  }

  assert {
    condition = alltrue([for r in aws_s3_bucket_replication_configuration.this[0].rule :
      r.filter[0].prefix == "containers/images/" && r.delete_marker_replication[0].status == "Disabled" && r.status == "Enabled"
    ])
    error_message = "Only blobs are copied, and no delete markers."
  }
  assert {
    condition = alltrue([for s in jsondecode(aws_iam_role_policy.replication[0].policy).Statement :
      alltrue([for r in s.Resource : s.Sid == "LookAtTheSource" || endswith(r, "/containers/images/*")])
    ])
    error_message = "The role has rights below containers/images/ only."
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.replication[0].policy, "ReplicateDelete")
    error_message = "The role cannot delete in the destination."
  }
  assert {
    condition = jsondecode(aws_s3_bucket_policy.store["s3-mxc1"].policy).Statement[2].Condition.ArnNotEquals == {
      "aws:PrincipalArn" = ["arn:aws:iam::123456789012:role/oci-proxy-replication"]
    }
    error_message = "S3's copies are exempt from If-None-Match."
  }
}

run "no_replication_by_default" {
  command = plan

  assert {
    condition     = length(aws_s3_bucket_replication_configuration.this) == 0 && length(aws_iam_role.replication) == 0
    error_message = "Replication is a choice."
  }
}

run "the_alarm" {
  command = plan

  variables {
    budget = { usd_per_month = 500, emails = ["oncall@example.org"] }
  }

  assert {
    condition     = aws_budgets_budget.this[0].limit_amount == "500" && aws_budgets_budget.this[0].time_unit == "MONTHLY"
    error_message = "The limit is per month."
  }
  assert {
    condition = { for n in aws_budgets_budget.this[0].notification : n.notification_type => "${n.threshold} ${join(",", n.subscriber_email_addresses)}" } == {
      ACTUAL = "80 oncall@example.org", FORECASTED = "100 oncall@example.org"
    }
    error_message = "It is told at 80 % and when the forecast exceeds the limit."
  }
}

run "endpoint_policies_read_blobs_of_their_region" {
  command = plan

  assert {
    condition = jsondecode(output.endpoint_policies["us-east-1"]).Statement == [{
      Sid       = "PullLayersThroughOCIProxy"
      Effect    = "Allow"
      Principal = "*"
      Action    = "s3:GetObject"
      Resource  = ["arn:aws:s3:::prod-use1/containers/images/*"]
    }]
    error_message = "Users add one statement, for the buckets that their endpoint reaches."
  }
}

run "outputs_are_what_the_config_says" {
  command = plan

  assert {
    condition = output.stores["s3-use1"] == {
      bucket        = "prod-use1"
      region        = "us-east-1"
      url           = "https://prod-use1.s3.dualstack.us-east-1.amazonaws.com/containers/images/{digest}"
      inventory_url = "https://prod-use1.s3.dualstack.us-east-1.amazonaws.com/inventory/"
      arn           = "arn:aws:s3:::prod-use1"
      owner         = "123456789012"
    }
    error_message = "infra import reads these."
  }
}
