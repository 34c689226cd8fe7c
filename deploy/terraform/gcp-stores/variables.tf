variable "project" {
  type        = string
  description = "The id of the Google Cloud project that owns the buckets. It is not the project's number."
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "The project's id has 6 to 30 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "stores" {
  type = map(object({
    bucket = string
    region = string
  }))
  description = "The stores of the config, by name, as `oci-proxyctl infra export` writes them."
  validation {
    condition     = alltrue([for s in values(var.stores) : can(regex("^[a-z]+-[a-z]+[0-9]+$", s.region))])
    error_message = "The region is one region, such as europe-west1. Multi-regions such as EU have another price and distance than the place in the config."
  }
  validation {
    condition     = alltrue([for s in values(var.stores) : can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", s.bucket))])
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits, hyphens and underscores. Names with dots need a verified domain."
  }
  validation {
    condition     = length(distinct([for s in values(var.stores) : s.bucket])) == length(var.stores)
    error_message = "Each store has a bucket of its own."
  }
}

variable "writer" {
  type = object({
    issuer    = string
    subjects  = list(string)
    audiences = optional(list(string), [])
    jwks      = optional(string)
  })
  default     = null
  description = <<-EOT
    Who may write, with an OIDC token of another issuer. `issuer` is its URL, `subjects` are the exact subjects,
    such as system:serviceaccount:oci-proxy:mirror. `audiences` are those that a token may have; without one it is
    the name of this provider, which no other service accepts. `jwks` has the issuer's keys, if Google cannot read
    them at the issuer.
  EOT
  validation {
    condition     = var.writer == null ? true : can(regex("^https://[^/*]+", var.writer.issuer))
    error_message = "The issuer is an https:// URL."
  }
  validation {
    condition     = var.writer == null ? true : length(var.writer.subjects) > 0 && alltrue([for s in var.writer.subjects : can(regex("^[^*?'\\\\\"]+$", s))])
    error_message = "Name at least one subject exactly, without wildcards and quotes."
  }
  validation {
    condition     = var.writer == null ? true : alltrue([for a in var.writer.audiences : can(regex("^[^*?]+$", a))])
    error_message = "Name each audience exactly."
  }
}

variable "writer_members" {
  type        = list(string)
  default     = []
  description = "Service accounts of Google that may write, such as serviceAccount:mirror@PROJECT.iam.gserviceaccount.com."
  validation {
    condition     = alltrue([for m in var.writer_members : can(regex("^(serviceAccount|principal):", m))])
    error_message = "A writer is a serviceAccount: or a principal:. People and groups do not write blobs."
  }
}

variable "purge_members" {
  type        = list(string)
  default     = []
  description = "Who may replace and remove blobs, for `purge` and `audit --repair`. Give it only while they run."
  validation {
    condition     = alltrue([for m in var.purge_members : can(regex("^(serviceAccount|principal|user|group):", m))])
    error_message = "Write serviceAccount:, principal:, user: or group: before the name. allUsers may never delete."
  }
}

variable "keep" {
  type = object({
    method = optional(string, "soft-delete")
    days   = optional(number, 7)
  })
  default     = {}
  description = "How long Google keeps what was replaced or removed: as `soft-delete` or as `versions`, for so many days."
  validation {
    condition     = contains(["soft-delete", "versions"], var.keep.method)
    error_message = "The method is soft-delete or versions."
  }
  validation {
    condition     = var.keep.days >= (var.keep.method == "versions" ? 1 : 7) && var.keep.days <= 90
    error_message = "Versions are kept for 1 to 90 days, soft-deleted objects for 7 to 90 days."
  }
}

variable "log_days" {
  type        = number
  default     = 90
  description = "For how many days the usage logs are kept. They have the addresses of clients. 0: no logs."
  validation {
    condition     = var.log_days >= 0 && var.log_days <= 3650
    error_message = "Logs are kept for 0 to 3650 days."
  }
  validation {
    condition     = var.log_days == 0 || alltrue([for s in values(var.stores) : length(s.bucket) <= 58])
    error_message = "The bucket of the logs is named BUCKET-logs, so the bucket's name has at most 58 characters."
  }
}

variable "https_only" {
  type        = bool
  default     = true
  description = "Sets the organisation policy storage.secureHttpTransport for the whole project. Without it Google answers plain HTTP too."
}

variable "role_prefix" {
  type        = string
  default     = "ociProxy"
  description = "The beginning of the ids of the custom roles and of the identity pool's id."
  validation {
    condition     = can(regex("^[a-z][A-Za-z0-9]{2,20}$", var.role_prefix))
    error_message = "Letters and digits only: 3 to 21 of them, first a lower-case letter."
  }
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "Labels of all buckets."
}
