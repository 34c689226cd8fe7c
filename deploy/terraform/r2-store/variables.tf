variable "account" {
  type        = string
  description = "The id of the Cloudflare account: 32 hexadecimal digits."
  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.account))
    error_message = "The id of an account has 32 hexadecimal digits. The dashboard shows it beside R2's endpoint."
  }
}

variable "stores" {
  type = map(object({
    bucket = string
    host   = string
  }))
  description = "The stores of the config, by name, as `oci-proxyctl infra export` writes them. `host` is the domain of yours under which clients read."
  validation {
    condition     = alltrue([for s in values(var.stores) : can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", s.bucket))])
    error_message = "The name of a bucket has 3 to 63 lower-case letters, digits and hyphens."
  }
  validation {
    condition     = alltrue([for s in values(var.stores) : can(regex("^([a-z0-9-]+\\.)+[a-z]{2,}$", s.host)) && !endswith(s.host, ".r2.dev") && !endswith(s.host, ".r2.cloudflarestorage.com")])
    error_message = "Clients read under a domain of yours. Cloudflare limits r2.dev, and its S3 endpoint serves no anonymous reads."
  }
  validation {
    condition     = length(distinct([for s in values(var.stores) : s.host])) == length(var.stores) && length(distinct([for s in values(var.stores) : s.bucket])) == length(var.stores)
    error_message = "Each store has a bucket and a domain of its own."
  }
}

variable "zones" {
  type        = map(string)
  description = "The id of the zone of each store, by the store's name. The zone has the store's domain."
  validation {
    condition     = alltrue([for name in keys(var.stores) : contains(keys(var.zones), name)])
    error_message = "Give the id of a zone for each store."
  }
  validation {
    condition     = alltrue([for id in values(var.zones) : can(regex("^[0-9a-f]{32}$", id))])
    error_message = "The id of a zone has 32 hexadecimal digits."
  }
}

variable "location" {
  type        = map(string)
  default     = {}
  description = "A wish where the bytes lie, by the store's name: apac, eeur, enam, oc, weur or wnam. R2 does not promise it."
  validation {
    condition     = alltrue([for l in values(var.location) : contains(["apac", "eeur", "enam", "oc", "weur", "wnam"], l)])
    error_message = "R2 knows apac, eeur, enam, oc, weur and wnam."
  }
}

variable "jurisdiction" {
  type        = string
  default     = "default"
  description = "Where Cloudflare promises to keep the bytes: default (anywhere), eu or fedramp."
  validation {
    condition     = contains(["default", "eu", "fedramp"], var.jurisdiction)
    error_message = "R2 knows default, eu and fedramp."
  }
}

variable "lock_blobs" {
  type        = bool
  default     = true
  description = <<-EOT
    Locks everything below containers/images/ forever: no token can replace or remove a blob. R2 has no rights below a
    bucket, so this stands in for a writer without the right to delete. Set it to false while `purge` or
    `audit --repair` runs.
  EOT
}

variable "always_use_https" {
  type        = bool
  default     = true
  description = "Makes the whole zone answer plain HTTP with a redirect to HTTPS. R2 has no such setting for a bucket."
}
