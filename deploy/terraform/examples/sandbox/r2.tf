variable "r2_accounts" {
  description = "What only you know about each account of r2_stores: its id, and the inputs of the module r2-store."
  type = map(object({
    account      = string
    zones        = map(string)
    location     = optional(map(string), {})
    jurisdiction = optional(string, "default")
    lock_blobs   = optional(bool, true)
  }))
  default = {}

  validation {
    condition     = length(setsubtract(keys(var.r2_stores), keys(var.r2_accounts))) == 0
    error_message = "The config has stores in these R2 accounts, and r2_accounts in terraform.tfvars does not: ${join(", ", setsubtract(keys(var.r2_stores), keys(var.r2_accounts)))}. Add what only you know about each."
  }
}

# It reads the token from CLOUDFLARE_API_TOKEN.
provider "cloudflare" {
  alias    = "account"
  for_each = var.r2_accounts
}

module "r2_store" {
  source   = "../../r2-store"
  for_each = var.r2_stores

  providers = { cloudflare = cloudflare.account[each.key] }

  stores       = each.value
  account      = var.r2_accounts[each.key].account
  zones        = var.r2_accounts[each.key].zones
  location     = var.r2_accounts[each.key].location
  jurisdiction = var.r2_accounts[each.key].jurisdiction
  lock_blobs   = var.r2_accounts[each.key].lock_blobs
}
