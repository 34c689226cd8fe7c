# AWS enables these regions in every account. Regions that AWS has opened since March 2019 must be enabled first, so
# this list never changes: https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
locals {
  regions_of_every_account = [
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
    "us-east-1", "us-east-2", "us-west-1", "us-west-2",
  ]

  regions = toset([for s in var.stores : s.region])

  # The regions of these partitions are enabled in all their accounts.
  partition_prefixes = { "aws-cn" = "cn-", "aws-us-gov" = "us-gov-", "aws-eusc" = "eusc-" }

  partition_of = {
    for r in local.regions :
    r => one(concat([for p, prefix in local.partition_prefixes : p if startswith(r, prefix)], []))
  }

  opt_in = toset([
    for r in local.regions : r if local.partition_of[r] == null && !contains(local.regions_of_every_account, r)
  ])

  enable_commands = { for r in local.opt_in : r => "aws account enable-region --region-name ${r}" }
}

# Asked only if a store is in such a region, because it needs the right ec2:DescribeRegions.
data "aws_regions" "off" {
  count = length(local.opt_in) > 0 ? 1 : 0

  all_regions = true

  filter {
    name   = "opt-in-status"
    values = ["not-opted-in"]
  }
}

locals {
  regions_off = toset(flatten([for d in data.aws_regions.off : coalesce(d.names, [])]))
}
