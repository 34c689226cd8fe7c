variable "name" {
  type        = string
  description = "The store's name in the config. It begins the names of everything that is made."
  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,40}$", var.name))
    error_message = "1 to 40 letters, digits, hyphens and underscores."
  }
}

variable "account" {
  type        = string
  description = "The AWS account in which the distribution is made: 12 digits."
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account))
    error_message = "An account has 12 digits."
  }
}

variable "bucket" {
  type        = string
  description = "The bucket of the store, public or private."
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "The bucket's name has 3 to 63 lower-case letters, digits and hyphens. With dots, no certificate of S3 fits."
  }
  validation {
    condition     = var.log_days == 0 || length(var.bucket) <= 54
    error_message = "The bucket of the logs is named BUCKET-cdn-logs, so the bucket's name has at most 54 characters."
  }
}

variable "region" {
  type        = string
  description = "The region of the bucket."
  validation {
    condition     = can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]+$", var.region)) && !startswith(var.region, "cn-") && !startswith(var.region, "us-gov-")
    error_message = "A region such as us-east-1. CloudFront does not reach buckets in China and GovCloud with an origin access control of this partition."
  }
}

variable "host" {
  type        = string
  description = "The name under which clients read: the host of the store's `url`."
  validation {
    condition     = can(regex("^([a-z0-9-]+\\.)+[a-z]{2,}$", var.host))
    error_message = "A host name in lower case, such as layers.example.org."
  }
}

variable "certificate_arn" {
  type        = string
  description = "The certificate for the host, in ACM's region us-east-1."
  validation {
    condition     = can(regex("^arn:[a-z-]+:acm:us-east-1:[0-9]{12}:certificate/.+$", var.certificate_arn))
    error_message = "CloudFront reads certificates of ACM in us-east-1 only."
  }
}

variable "price_class" {
  type        = string
  default     = "PriceClass_100"
  description = "From which edges CloudFront serves: PriceClass_100 (North America, Europe), PriceClass_200, PriceClass_All."
  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "PriceClass_100, PriceClass_200 or PriceClass_All."
  }
}

variable "shield" {
  type        = bool
  default     = true
  description = "Sends what the edges lack through one more cache near the bucket, so that S3 is asked once."
}

variable "shield_region" {
  type        = string
  default     = null
  description = "The region of that cache. Default: the bucket's. Not every region has one: see the README."
}

variable "error_seconds" {
  type        = number
  default     = 10
  description = "For how long an edge keeps a 4xx answer. While it does, a blob that was just uploaded is missing there."
  validation {
    condition     = var.error_seconds >= 0 && var.error_seconds <= 10
    error_message = "At most 10 seconds."
  }
}

variable "log_days" {
  type        = number
  default     = 90
  description = "For how many days the logs are kept. They have the addresses of clients. 0: no logs."
  validation {
    condition     = var.log_days >= 0 && var.log_days <= 3650
    error_message = "Logs are kept for 0 to 3650 days."
  }
}

variable "web_acl_id" {
  type        = string
  default     = null
  description = "The ARN of a WAF web ACL, if there is one."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of all resources that take them."
}
