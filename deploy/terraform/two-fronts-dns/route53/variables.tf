variable "zone" {
  description = "Zone that both providers serve, without a dot at its end. Delegate it to the name servers of both."
  type        = string
  validation {
    condition     = can(regex("^([a-z0-9-]+[.])+[a-z]+$", var.zone))
    error_message = "The zone must be a domain name in lower case, such as registry.example.org."
  }
}

variable "name" {
  description = "Name of the registry: the zone, or a name in it."
  type        = string
  validation {
    condition     = var.name == var.zone || endswith(var.name, ".${var.zone}")
    error_message = "The name must be the zone or a name in it."
  }
}

variable "ttl" {
  description = "How long resolvers keep the addresses, in seconds. A switch reaches all clients after this time."
  type        = number
  default     = 60
  validation {
    condition     = var.ttl >= 1 && var.ttl <= 60
    error_message = "The TTL must be 1 to 60 seconds: a switch reaches clients no sooner."
  }
}

variable "fronts" {
  description = "Fronts by name. `on`: whether it has addresses in DNS; `oci-proxyctl front off` changes it. `weight`: its share, 1 to 255."
  type = map(object({
    on     = bool
    weight = number
    ipv4   = optional(list(string), [])
    ipv6   = optional(list(string), [])
  }))
  validation {
    condition     = anytrue([for f in values(var.fronts) : f.on])
    error_message = "At least one front must be on."
  }
  validation {
    condition     = alltrue([for f in values(var.fronts) : f.weight >= 1 && f.weight <= 255 && floor(f.weight) == f.weight])
    error_message = "A weight must be a whole number from 1 to 255."
  }
  validation {
    condition     = alltrue([for f in values(var.fronts) : length(f.ipv4) + length(f.ipv6) > 0])
    error_message = "Each front needs an address."
  }
}

variable "health_path" {
  description = "Path that the health checks ask from the internet, over HTTPS. The edge rules let /v2/ through."
  type        = string
  default     = "/v2/"
}

variable "other_name_servers" {
  description = "Name servers of the zone at the other provider. Empty in the first apply; then give what its output name_servers says."
  type        = list(string)
  default     = []
}

variable "validation_records" {
  description = "CNAME records by which each front proves the name to its certificate authority: name => target. Both providers serve all."
  type        = map(string)
  default     = {}
}

variable "certificate_authorities" {
  description = "Certificate authorities that may issue for the name (CAA): those of all fronts."
  type        = list(string)
  default     = ["amazon.com", "pki.goog"]
}
