# All that a deployment needs. The directories production and sandbox have the same files *.tf: only what is in their
# *.tfvars and *.json differs. A cloud without stores in the config needs no account there.

variable "name" {
  description = "The first part of the names of everything that is made. Two deployments in one account need two names."
  type        = string
  default     = "oci-proxy"
}

output "stores" {
  description = "Name of each store => what the config must say about it. `oci-proxyctl infra import` reads it."
  value = merge(concat(
    [for m in module.aws_stores : m.stores],
    [for m in module.gcp_stores : m.stores],
    [for m in module.azure_stores : m.stores],
    [for m in module.r2_store : m.stores],
  )...)
}

output "aws" {
  description = "Account => the roles that mirror, audit --repair and purge take there, the policies for users behind VPC endpoints, and the commands that enable its regions."
  value = { for account, m in module.aws_stores : account => {
    writer_role_arn   = m.writer_role_arn
    repair_role_arn   = m.repair_role_arn
    purge_role_arn    = m.purge_role_arn
    endpoint_policies = m.endpoint_policies
    opt_in_regions    = m.opt_in_regions
  } }
}

output "gcp" {
  description = "Project => what a mirror outside Google needs for its credential file."
  value       = { for project, m in module.gcp_stores : project => { identity_provider = m.identity_provider, token_audiences = m.token_audiences } }
}

output "azure" {
  description = "AZURE_CLIENT_ID and AZURE_TENANT_ID of the mirror, and the audience of its token."
  value       = one([for m in module.azure_stores : { client_id = m.writer_client_id, tenant_id = m.writer_tenant_id, token_audiences = m.token_audiences }])
}

output "r2" {
  description = "Account => what the token of the mirror is limited to."
  value       = { for account, m in module.r2_store : account => m.token_resources }
}

output "gcp_front" {
  description = "What DNS and the stores must know about the front on Google Cloud."
  value       = one([for m in module.gcp_front : { addresses = m.addresses, certificate_records = m.certificate_records, mirror = m.mirror }])
}
