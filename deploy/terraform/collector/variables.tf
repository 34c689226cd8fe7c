variable "platform" {
  description = "Where the server runs: \"cloud-run\" or \"ecs\". It says how the collector learns which instance it is in."
  type        = string

  validation {
    condition     = contains(["cloud-run", "ecs"], var.platform)
    error_message = "platform is \"cloud-run\" or \"ecs\"."
  }
}

variable "admin_port" {
  description = "The server's admin port, which it opens on loopback: `admin` of the config."
  type        = number
}

variable "interval_seconds" {
  description = "How often the collector reads the server. The alerts in deploy/prometheus expect at most 60."
  type        = number
  default     = 30

  validation {
    condition     = var.interval_seconds >= 10 && var.interval_seconds <= 60
    error_message = "interval_seconds is 10 to 60."
  }
}

variable "memory_mib" {
  description = "The memory that the collector may use before it drops samples, in MiB. Give the container more than this."
  type        = number
  default     = 160
}

variable "remote_write" {
  description = <<-EOT
    Where the samples go by remote write, signed for Amazon Managed Service for Prometheus, and that workspace's region.
    The default, an empty `url`, is Google's Managed Service for Prometheus, in the project that the server runs in.
  EOT
  type        = object({ url = string, region = string })
  default     = { url = "", region = "" }

  validation {
    condition     = (var.remote_write.url == "") == (var.platform == "cloud-run")
    error_message = "remote_write is for \"ecs\", which needs it."
  }
  validation {
    condition     = var.remote_write.url == "" || startswith(var.remote_write.url, "https://")
    error_message = "remote_write.url begins with https://."
  }
}

variable "region" {
  description = "The region that the instance runs in. Only remote write needs it, as a label."
  type        = string
  default     = ""
}
