variable "gcp_front" {
  description = "The front on Google Cloud: the key of its project in gcp_projects, and the inputs of the module gcp-front. null: no front there."
  type = object({
    project         = string
    image           = string
    collector_image = string
    config          = any
    regions         = any
    uptime          = optional(any, {})
    mirror          = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.gcp_front == null || contains(keys(var.gcp_projects), try(var.gcp_front.project, ""))
    error_message = "gcp_front.project must be a key of gcp_projects in terraform.tfvars, and not the id of the project: ${join(", ", keys(var.gcp_projects))}."
  }
}

module "gcp_front" {
  source   = "../../gcp-front"
  for_each = var.gcp_front == null ? toset([]) : toset([var.gcp_front.project])

  providers = { google = google.project[each.key] }

  name            = var.name
  front           = var.front
  project         = var.gcp_projects[each.key].project
  image           = var.gcp_front.image
  collector_image = var.gcp_front.collector_image
  config          = var.gcp_front.config
  regions         = var.gcp_front.regions
  uptime          = var.gcp_front.uptime
  mirror          = var.gcp_front.mirror
  edge_rules      = jsondecode(file("${path.module}/edge_rules.json"))
}
