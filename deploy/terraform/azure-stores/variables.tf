variable "resource_group" {
  type = object({
    name = string
    id   = string
  })
  description = "The resource group in which everything is made. Its id is the scope in which the custom roles may be assigned."
  validation {
    condition     = can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+$", var.resource_group.id))
    error_message = "The id is /subscriptions/ID/resourceGroups/NAME."
  }
}

variable "stores" {
  type = map(object({
    bucket    = string
    container = string
    region    = string
  }))
  description = "The stores of the config, by name, as `oci-proxyctl infra export` writes them. `bucket` is the storage account."
  validation {
    condition     = alltrue([for s in values(var.stores) : can(regex("^[a-z0-9]{3,24}$", s.bucket))])
    error_message = "The name of a storage account has 3 to 24 lower-case letters and digits."
  }
  validation {
    condition     = alltrue([for s in values(var.stores) : can(regex("^[a-z0-9]([a-z0-9]|-[a-z0-9]){2,62}$", s.container))])
    error_message = "The name of a container has 3 to 63 lower-case letters, digits and single hyphens."
  }
  validation {
    condition     = alltrue([for s in values(var.stores) : can(regex("^[a-z0-9]+$", s.region))])
    error_message = "The region is Azure's short name, such as westeurope."
  }
  validation {
    condition     = length(var.stores) > 0
    error_message = "Give at least one store."
  }
  validation {
    condition     = length(distinct([for s in values(var.stores) : s.bucket])) == length(distinct([for s in values(var.stores) : "${s.bucket} ${s.region}"]))
    error_message = "A storage account lies in one region: stores of different regions need accounts of their own."
  }
  validation {
    condition     = length(distinct([for s in values(var.stores) : "${s.bucket}/${s.container}"])) == length(var.stores)
    error_message = "Each store has a container of its own."
  }
}

variable "writer" {
  type = object({
    issuer    = string
    subjects  = list(string)
    audiences = optional(list(string), ["api://AzureADTokenExchange"])
  })
  default     = null
  description = <<-EOT
    Who may write, with an OIDC token of another issuer. `issuer` is its URL, `subjects` are the exact subjects,
    such as system:serviceaccount:oci-proxy:mirror. Azure takes exactly one audience.
  EOT
  validation {
    condition     = var.writer == null ? true : can(regex("^https://[^/*]+", var.writer.issuer))
    error_message = "The issuer is an https:// URL."
  }
  validation {
    condition     = var.writer == null ? true : length(var.writer.subjects) > 0 && length(var.writer.subjects) <= 20 && alltrue([for s in var.writer.subjects : can(regex("^[^*?]+$", s))])
    error_message = "Name 1 to 20 subjects exactly, without wildcards."
  }
  validation {
    condition     = var.writer == null ? true : length(var.writer.audiences) == 1 && alltrue([for a in var.writer.audiences : can(regex("^[^*?]+$", a))])
    error_message = "Azure takes exactly one audience, mostly api://AzureADTokenExchange. Azure China and Azure Government have others."
  }
}

variable "writer_principals" {
  type        = map(string)
  default     = {}
  description = "Other identities that may write: a name of your choice, and the object id of a managed identity or service principal."
}

variable "purge_principals" {
  type        = map(string)
  default     = {}
  description = "Who may remove blobs, for `purge`: a name of your choice, and the object id. Give it only while it runs."
}

variable "keep_days" {
  type        = number
  default     = 7
  description = "For how many days Azure keeps what was replaced (as a version) or removed (soft delete). A takedown is complete after twice that time."
  validation {
    condition     = var.keep_days >= 1 && var.keep_days <= 365
    error_message = "Versions and soft-deleted blobs are kept for 1 to 365 days."
  }
}

variable "replication" {
  type        = string
  default     = "LRS"
  description = "How Azure copies the bytes within the region: LRS or ZRS. Blobs can be mirrored again."
  validation {
    condition     = contains(["LRS", "ZRS"], var.replication)
    error_message = "LRS or ZRS: a copy in another region has a price, and no client reads it."
  }
}

variable "log_days" {
  type        = number
  default     = 30
  description = "For how many days the table StorageBlobLogs is kept. It has the addresses of clients. 0: no logs."
  validation {
    condition     = var.log_days == 0 || (var.log_days >= 30 && var.log_days <= 730)
    error_message = "Log Analytics keeps logs for 30 to 730 days; 0 turns them off."
  }
}

variable "name" {
  type        = string
  default     = "oci-proxy"
  description = "The beginning of the names of roles, identities and workspaces."
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "3 to 31 lower-case letters, digits and hyphens, first a letter."
  }
}

variable "blob_domain" {
  type        = string
  default     = "blob.core.windows.net"
  description = "The domain of the blob service: blob.core.chinacloudapi.cn in China, blob.core.usgovcloudapi.net for the US government."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of all resources that take them."
}
