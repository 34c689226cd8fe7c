variable "gcp_projects" {
  description = "What only you know about each project of gcp_stores, and that of the front: its id, and the inputs of the module gcp-stores."
  type = map(object({
    project        = string
    writer         = optional(object({ issuer = string, subjects = list(string), audiences = optional(list(string), []), jwks = optional(string) }))
    writer_members = optional(list(string), [])
    purge_members  = optional(list(string), [])
    log_days       = optional(number, 90)
    https_only     = optional(bool, true)
    role_prefix    = optional(string, "ociProxy")
  }))
  default = {}

  validation {
    condition     = length(setsubtract(keys(var.gcp_stores), keys(var.gcp_projects))) == 0
    error_message = "The config has stores in these Google projects, and gcp_projects in terraform.tfvars does not: ${join(", ", setsubtract(keys(var.gcp_stores), keys(var.gcp_projects)))}. Add what only you know about each."
  }
}

provider "google" {
  alias    = "project"
  for_each = var.gcp_projects

  project = each.value.project
}

module "gcp_stores" {
  source   = "../../gcp-stores"
  for_each = var.gcp_stores

  providers = { google = google.project[each.key] }

  stores         = each.value
  project        = var.gcp_projects[each.key].project
  writer         = var.gcp_projects[each.key].writer
  writer_members = var.gcp_projects[each.key].writer_members
  purge_members  = var.gcp_projects[each.key].purge_members
  log_days       = var.gcp_projects[each.key].log_days
  https_only     = var.gcp_projects[each.key].https_only
  role_prefix    = var.gcp_projects[each.key].role_prefix
}
