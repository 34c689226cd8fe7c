variable "stores" {
  description = <<-EOT
    The stores of this account: name of the store in the config => its bucket. `oci-proxyctl infra export` writes it.
    The module uses `bucket` and `region`, and `host` for a store behind CloudFront; it ignores the rest.
  EOT
  type = map(object({
    bucket    = string
    region    = string
    place     = optional(string)
    host      = optional(string)
    cdn       = optional(bool, false)
    state     = optional(string)
    inventory = optional(bool, true)
    serves    = optional(list(string))
  }))

  validation {
    condition     = length(var.stores) > 0
    error_message = "There are no stores. Leave out the call of the module for an account without stores."
  }
  validation {
    condition     = alltrue([for s in var.stores : can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", s.bucket))])
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits and hyphens. A dot in it breaks TLS."
  }
  validation {
    condition     = length(distinct([for s in var.stores : s.bucket])) == length(var.stores)
    error_message = "Two stores have the same bucket. Each store needs a bucket of its own."
  }
  validation {
    condition     = alltrue([for s in var.stores : can(regex("^[a-z]{2,4}(-[a-z]+)+-[0-9]+$", s.region))])
    error_message = "A region is written as in us-east-1."
  }
}

variable "account" {
  description = "The account that the buckets must be in, for example \"123456789012\". \"\": the provider's, whichever it is."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([0-9]{12})?$", var.account))
    error_message = "An account has 12 digits."
  }
}

variable "name" {
  description = "The first part of the names of roles, log buckets and the alarm."
  type        = string
  default     = "oci-proxy"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,20}[a-z0-9]$", var.name))
    error_message = "The name has 2 to 22 lower-case letters, digits and hyphens, since log buckets and roles begin with it."
  }
}

variable "public" {
  description = <<-EOT
    Who reads: "bucket": anonymous clients, at the bucket. "cloudfront": only the distributions in `distributions`; take
    this where the account or the organisation forbids public buckets.
  EOT
  type        = string
  default     = "bucket"

  validation {
    condition     = contains(["bucket", "cloudfront"], var.public)
    error_message = "public is \"bucket\" or \"cloudfront\"."
  }
}

variable "distributions" {
  description = <<-EOT
    Name of a store => ARN of the CloudFront distribution that reads it, from the module cdn-cloudfront. A store that is
    named here is read by its distribution only, whatever `public` says.
  EOT
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.distributions), keys(var.stores))) == 0
    error_message = "distributions names a store that is not in stores."
  }
}

variable "noncurrent_days" {
  description = "How many days S3 keeps what was replaced or deleted."
  type        = number
  default     = 7

  validation {
    condition     = var.noncurrent_days >= 1 && var.noncurrent_days <= 365 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days is a whole number from 1 to 365."
  }
}

variable "unfinished_days" {
  description = "After how many days S3 removes the parts of uploads that were not finished. The mirror's can be resumed for 24 hours."
  type        = number
  default     = 3

  validation {
    condition     = contains([1, 2, 3, 4, 5, 6, 7], var.unfinished_days)
    error_message = "unfinished_days is a whole number from 1 to 7."
  }
}

variable "log_days" {
  description = "How many days access logs are kept. Logs have the addresses of clients."
  type        = number
  default     = 90

  validation {
    condition     = var.log_days >= 1 && var.log_days <= 3650 && floor(var.log_days) == var.log_days
    error_message = "log_days is a whole number from 1 to 3650."
  }
}

variable "replication" {
  description = <<-EOT
    Lets S3 copy new blobs from the bucket of one store to those of others, below containers/images/ only. The mirror
    finds them there and records them. null: no replication.
  EOT
  type = object({
    from = string
    to   = list(string)
  })
  default = null

  validation {
    condition     = var.replication == null || try(contains(keys(var.stores), var.replication.from), false)
    error_message = "replication.from is not the name of a store in stores."
  }
  validation {
    condition = var.replication == null || try(
      length(var.replication.to) > 0
      && length(setsubtract(var.replication.to, setsubtract(keys(var.stores), [var.replication.from]))) == 0
      && length(distinct(var.replication.to)) == length(var.replication.to),
    false)
    error_message = "replication.to has each name once, of stores in stores, and not that of replication.from."
  }
}

variable "budget" {
  description = <<-EOT
    An alarm on what S3 costs in this account: the limit in US dollars a month, and the e-mail addresses to tell. It
    is sent at 80 % and when the forecast exceeds the limit, to the addresses and to an SNS topic. null: no alarm.
  EOT
  type = object({
    usd_per_month = number
    emails        = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.budget == null || try(var.budget.usd_per_month > 0, false)
    error_message = "budget.usd_per_month is greater than 0."
  }
  validation {
    condition     = var.budget == null || try(alltrue([for e in var.budget.emails : can(regex("^[^@ ]+@[^@ ]+$", e))]), false)
    error_message = "budget.emails has e-mail addresses."
  }
}

variable "tags" {
  description = "Tags of every resource that can have tags."
  type        = map(string)
  default     = {}
}
