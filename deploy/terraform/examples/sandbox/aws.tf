variable "aws_accounts" {
  description = <<-EOT
    What only you know about each account of aws_stores: the region that the provider starts in, the role that it takes
    there, and the inputs of the module aws-stores.
  EOT
  type = map(object({
    region                  = string
    role_arn                = optional(string)
    public                  = optional(string, "bucket")
    log_days                = optional(number, 90)
    writer                  = optional(object({ issuer = string, subjects = list(string), audiences = list(string), authorized_parties = optional(list(string)) }))
    repair                  = optional(object({ issuer = string, subjects = list(string), audiences = list(string), authorized_parties = optional(list(string)) }))
    purge                   = optional(object({ issuer = string, subjects = list(string), audiences = list(string), authorized_parties = optional(list(string)) }))
    replication             = optional(object({ from = string, to = list(string) }))
    budget                  = optional(object({ usd_per_month = number, emails = optional(list(string), []) }))
    distributions           = optional(map(string), {})
    existing_oidc_providers = optional(list(string), [])
  }))
  default = {}

  validation {
    condition     = length(setsubtract(keys(var.aws_stores), keys(var.aws_accounts))) == 0
    error_message = "The config has stores in these AWS accounts, and aws_accounts in terraform.tfvars does not: ${join(", ", setsubtract(keys(var.aws_stores), keys(var.aws_accounts)))}. Add what only you know about each."
  }
}

provider "aws" {
  alias    = "account"
  for_each = var.aws_accounts

  region              = each.value.region
  allowed_account_ids = try([split("/", each.key)[1]], null) # the provider refuses credentials of another account

  dynamic "assume_role" {
    for_each = each.value.role_arn == null ? [] : [each.value.role_arn]
    content {
      role_arn = assume_role.value
    }
  }
}

module "aws_stores" {
  source   = "../../aws-stores"
  for_each = var.aws_stores

  providers = { aws = aws.account[each.key] }

  stores                  = each.value
  account                 = try(split("/", each.key)[1], "")
  name                    = var.name
  public                  = var.aws_accounts[each.key].public
  log_days                = var.aws_accounts[each.key].log_days
  writer                  = var.aws_accounts[each.key].writer
  repair                  = var.aws_accounts[each.key].repair
  purge                   = var.aws_accounts[each.key].purge
  replication             = var.aws_accounts[each.key].replication
  budget                  = var.aws_accounts[each.key].budget
  distributions           = var.aws_accounts[each.key].distributions
  existing_oidc_providers = var.aws_accounts[each.key].existing_oidc_providers
}
