# Regions that must be enabled first, and partitions.

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

mock_provider "aws" {
  alias = "china"
  mock_data "aws_partition" {
    defaults = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

mock_provider "aws" {
  alias = "govcloud"
  mock_data "aws_partition" {
    defaults = { partition = "aws-us-gov", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

run "regions_to_enable_are_named" {
  command = plan

  variables {
    stores = {
      use1 = { bucket = "prod-use1", region = "us-east-1" }
      mxc1 = { bucket = "prod-mxc1", region = "mx-central-1" }
    }
  }

  assert {
    condition     = output.opt_in_regions == { mx-central-1 = "aws account enable-region --region-name mx-central-1" }
    error_message = "The command is named for each region that must be enabled."
  }
}

run "a_region_that_is_off_is_refused" {
  command = plan

  variables {
    stores = { ape2 = { bucket = "prod-ape2", region = "ap-east-2" } }
  }

  expect_failures = [aws_s3_bucket.store]
}

run "no_question_for_usual_regions" {
  command = plan

  variables {
    stores = { use1 = { bucket = "prod-use1", region = "us-east-1" } }
  }

  assert {
    condition     = length(data.aws_regions.off) == 0
    error_message = "The right ec2:DescribeRegions is not needed."
  }
}

run "china" {
  command = plan

  providers = { aws = aws.china }

  variables {
    stores = { cn = { bucket = "prod-cn", region = "cn-north-1" } }
    writer = {
      issuer    = "https://oidc.eks.cn-north-1.amazonaws.com.cn/id/ABC"
      subjects  = ["system:serviceaccount:registry:mirror"]
      audiences = ["sts.amazonaws.com"]
    }
  }

  assert {
    condition     = !strcontains(join(" ", concat([for p in aws_s3_bucket_policy.store : p.policy], [for p in aws_iam_role_policy.this : p.policy], [for r in aws_iam_role.this : r.assume_role_policy])), "arn:aws:")
    error_message = "Every ARN has the partition aws-cn."
  }
  assert {
    condition     = output.stores["cn"].url == "https://prod-cn.s3.dualstack.cn-north-1.amazonaws.com.cn/containers/images/{digest}"
    error_message = "China has another suffix."
  }
}

run "govcloud" {
  command = plan

  providers = { aws = aws.govcloud }

  variables {
    stores = { gov = { bucket = "prod-gov", region = "us-gov-west-1" } }
  }

  assert {
    condition     = output.stores["gov"].arn == "arn:aws-us-gov:s3:::prod-gov"
    error_message = "The partition is aws-us-gov."
  }
}

run "a_region_of_another_partition_is_refused" {
  command = plan

  variables {
    stores = { cn = { bucket = "prod-cn", region = "cn-north-1" } }
  }

  expect_failures = [aws_s3_bucket.store]
}

run "another_account_is_refused" {
  command = plan

  variables {
    account = "210987654321"
    stores  = { use1 = { bucket = "prod-use1", region = "us-east-1" } }
  }

  expect_failures = [aws_s3_bucket.store]
}

run "no_budget_outside_the_partition_aws" {
  command = plan

  providers = { aws = aws.govcloud }

  variables {
    stores = { gov = { bucket = "prod-gov", region = "us-gov-west-1" } }
    budget = { usd_per_month = 100 }
  }

  expect_failures = [aws_budgets_budget.this]
}

run "a_bucket_with_a_dot_is_refused" {
  command = plan

  variables {
    stores = { use1 = { bucket = "prod.use1", region = "us-east-1" } }
  }

  expect_failures = [var.stores]
}

run "one_bucket_for_two_stores_is_refused" {
  command = plan

  variables {
    stores = {
      a = { bucket = "prod-use1", region = "us-east-1" }
      b = { bucket = "prod-use1", region = "us-east-1" }
    }
  }

  expect_failures = [var.stores]
}

run "replication_to_itself_is_refused" {
  command = plan

  variables {
    stores      = { a = { bucket = "prod-use1", region = "us-east-1" } }
    replication = { from = "a", to = ["a"] }
  }

  expect_failures = [var.replication]
}
