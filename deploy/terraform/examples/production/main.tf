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

output "aws_writer_role_arns" {
  description = "Account => the role that the mirror takes there."
  value       = { for account, m in module.aws_stores : account => m.writer_role_arn }
}

output "gcp_front" {
  description = "What DNS and the stores must know about the front on Google Cloud."
  value       = one([for m in module.gcp_front : { addresses = m.addresses, certificate_records = m.certificate_records, mirror = m.mirror }])
}
