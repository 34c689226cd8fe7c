variable "project" {
  description = "The project that everything is made in."
  type        = string
}

variable "name" {
  description = "The name of the services, the load balancer and the policy. Two fronts in one project need two names."
  type        = string
  default     = "oci-proxy"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 21 lower-case letters, digits and hyphens, since service accounts begin with it."
  }
}

variable "labels" {
  description = "Labels for everything that can have them."
  type        = map(string)
  default     = {}
}

variable "front" {
  description = <<-EOT
    What the config says about the front: the value `front` that `oci-proxyctl infra export` writes. The module refuses a
    config that is not for this front.
  EOT
  type = object({
    names         = list(object({ host = string, role = optional(string, "primary") }))
    behind        = string
    ready         = optional(string, "/-/ready")
    port          = optional(number, 8080)
    admin_port    = optional(number, 9090)
    drain_seconds = optional(number, 20)
    idle_seconds  = optional(number, 650)
  })

  validation {
    condition     = length(var.front.names) > 0
    error_message = "The config has no `names`. Add the host names of the registry: the certificates are for them."
  }
  validation {
    condition     = length(distinct(var.front.names[*].host)) == length(var.front.names)
    error_message = "A host is in front.names twice."
  }
  validation {
    condition     = alltrue([for n in var.front.names : can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", n.host))])
    error_message = "A host of front.names is a full name in lower case, without port: registry.example.org."
  }
  validation {
    condition     = var.front.idle_seconds >= 620
    error_message = "limits.idleTimeout of the config must be at least 620s: this load balancer keeps idle connections for 600 s, and sends requests into connections that the server is closing."
  }
  validation {
    condition     = var.front.admin_port > 0 && var.front.admin_port != var.front.port
    error_message = "`admin` of the config must be a port of its own on loopback, such as 127.0.0.1:9090: the collector reads it."
  }
}

variable "regions" {
  description = <<-EOT
    Where the server runs: region => how many instances, and for a publication which `ring` they follow. `min_instances`
    is at least 1: Cloud Run knows the health of a region only by its running instances, and a server that starts first
    reads its inventories. With a single region there is nowhere to go when it fails.
    `traffic` replaces the variable of that name for this region, so that a revision can go region by region.
  EOT
  type = map(object({
    min_instances = optional(number, 1)
    max_instances = optional(number, 10)
    ring          = optional(string, "all")
    traffic = optional(list(object({
      percent  = number
      revision = optional(string)
      tag      = optional(string)
    })))
  }))

  validation {
    condition     = length(var.regions) > 0
    error_message = "Give at least one region."
  }
  validation {
    condition     = alltrue([for r in keys(var.regions) : can(regex("^[a-z]+-[a-z]+[0-9]+$", r))])
    error_message = "A region is written as in us-central1."
  }
  validation {
    condition     = alltrue([for r in var.regions : r.min_instances >= 1 && r.max_instances >= r.min_instances && r.max_instances <= 100])
    error_message = "Each region has min_instances of at least 1, and max_instances between that and 100."
  }
  validation {
    condition     = alltrue([for r in var.regions : r.traffic == null ? true : try(sum(r.traffic[*].percent), 0) == 100])
    error_message = "The percentages of a region's traffic must add up to 100."
  }
}

variable "traffic" {
  description = <<-EOT
    How much of a region's requests each revision gets. An entry without `revision` is the newest one. Name the next
    revision with `revision` before you split: [{percent = 90, revision = "oci-proxy-r41"}, {percent = 10, revision =
    "oci-proxy-r42"}]. Entries with percent 0 and a `tag` get no requests, but start.
  EOT
  type = list(object({
    percent  = number
    revision = optional(string)
    tag      = optional(string)
  }))
  default = [{ percent = 100 }]

  validation {
    condition     = try(sum(var.traffic[*].percent), 0) == 100
    error_message = "The percentages of traffic must add up to 100."
  }
}

variable "revision" {
  description = "The end of the next revision's name, such as \"r42\": it is then NAME-r42 in each region. Without it, Cloud Run makes one up. A used name cannot be used for other content."
  type        = string
  default     = null

  validation {
    condition     = var.revision == null || can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", var.revision))
    error_message = "revision has at most 32 lower-case letters, digits and hyphens."
  }
}

variable "image" {
  description = "The server's image with its digest: REGISTRY/oci-proxy@sha256:… A tag could be another image in each region."
  type        = string

  validation {
    condition     = can(regex("^[^@ ]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image must end in @sha256: and 64 hexadecimal digits."
  }
}

variable "collector_image" {
  description = <<-EOT
    The image of the OpenTelemetry collector with its digest: the contrib distribution, 0.160 or later
    (otel/opentelemetry-collector-contrib@sha256:…), or another build with the components of collector.yaml.tftpl. Cloud
    Run pulls from Artifact Registry and Docker Hub only, so copy it to your Artifact Registry.
  EOT
  type        = string

  validation {
    condition     = can(regex("^[^@ ]+@sha256:[0-9a-f]{64}$", var.collector_image))
    error_message = "collector_image must end in @sha256: and 64 hexadecimal digits."
  }
}

variable "config" {
  description = <<-EOT
    Where the servers get their config from. Give one of the two:
    `publication`: a signed publication, which changes without a new revision (docs/publication.md);
    `text`: the config itself. It becomes a secret, because Cloud Run mounts files as secrets. A change makes a new
    revision.
  EOT
  type = object({
    publication = optional(object({
      url        = string
      deployment = string
      keys       = list(string)
    }))
    text = optional(string)
  })

  validation {
    condition     = (var.config.publication == null) != (var.config.text == null)
    error_message = "Give either config.publication or config.text."
  }
  validation {
    condition     = var.config.publication == null ? true : can(regex("^https://.+/$", var.config.publication.url))
    error_message = "config.publication.url begins with https:// and ends with /."
  }
  validation {
    condition     = var.config.publication == null ? true : length(var.config.publication.keys) > 0 && alltrue([for k in var.config.publication.keys : can(regex("^[A-Za-z0-9+/]{43}=$", k))])
    error_message = "config.publication.keys has at least one public root key: 44 characters, as oci-proxyctl key show prints it."
  }
  validation {
    condition     = var.config.text == null ? true : length(var.config.text) > 0 && length(var.config.text) <= 64 * 1024
    error_message = "config.text must have 1 byte to 64 KiB, the limit of a secret. Use a publication for a larger config."
  }
}

variable "cpu" {
  description = "Cores of one instance of the server. docs/sizing.md says how many connections one core serves."
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 2, 4, 8], var.cpu)
    error_message = "cpu is 1, 2, 4 or 8."
  }
}

variable "memory_mib" {
  description = "Memory of one instance of the server, in MiB. 1024 is enough for 20 000 connections; see docs/sizing.md for the inventories."
  type        = number
  default     = 1024

  validation {
    condition     = var.memory_mib >= 512 && var.memory_mib <= 32768
    error_message = "memory_mib is 512 to 32768."
  }
}

variable "edge_rules" {
  description = <<-EOT
    The paths that the server answers, as `oci-proxy routes --format cloud-armor` prints them. Cloud Armor refuses all
    others before they cost anything. Do not write them by hand: jsondecode(file("edge_rules.json")).
  EOT
  type = object({
    rules = list(object({
      priority    = number
      action      = string
      expression  = string
      description = optional(string, "")
    }))
    default_action = string
  })

  validation {
    condition     = length(var.edge_rules.rules) > 0
    error_message = "edge_rules has no rule: then nothing can be pulled."
  }
  validation {
    condition     = can(regex("^deny\\((403|404|502)\\)$", var.edge_rules.default_action))
    error_message = "edge_rules.default_action must be deny(403), deny(404) or deny(502)."
  }
  validation {
    condition     = length(distinct(var.edge_rules.rules[*].priority)) == length(var.edge_rules.rules) && alltrue([for r in var.edge_rules.rules : r.priority >= 0 && r.priority < 2147483647])
    error_message = "Each of edge_rules.rules has a priority of its own, from 0 to 2147483646."
  }
  validation {
    condition     = alltrue([for r in var.edge_rules.rules : can(regex("^(allow|deny\\((403|404|502)\\))$", r.action))])
    error_message = "The action of an edge rule is allow, deny(403), deny(404) or deny(502)."
  }
  validation {
    condition     = alltrue([for r in var.edge_rules.rules : length(r.expression) > 0 && length(r.expression) <= 2048])
    error_message = "An expression has 1 to 2048 characters."
  }
  validation {
    condition     = alltrue([for r in var.edge_rules.rules : r.action != "allow" || strcontains(r.expression, "request.path.")])
    error_message = "A rule that allows must look at request.path. Otherwise it opens every path, and the rules after it do not count."
  }
}

variable "edge_preview" {
  description = "true: Cloud Armor only logs what the rules would refuse. For the first days of a new set of rules."
  type        = bool
  default     = false
}

variable "rate_limit" {
  description = <<-EOT
    How many requests one client address may send in that many seconds; more get 429. Hundreds of machines can stand
    behind one address (NAT), and all start pods at once: 1 000 machines that pull 4 images of 10 blobs in a minute send
    52 000 requests (13 for an image: the tag, the index, the manifest and the blobs). The largest fleets in
    docs/client-simulation.md stay below that. So the default stops a flood, not a fleet. The servers have bounds of
    their own for each network (docs/sizing.md).
  EOT
  type = object({
    requests = optional(number, 60000)
    seconds  = optional(number, 60)
  })
  default = {}

  validation {
    condition     = contains([10, 30, 60, 120, 180, 240, 270, 300, 600, 900, 1200, 1800, 2700, 3600], var.rate_limit.seconds)
    error_message = "Cloud Armor counts over 10, 30, 60, 120, 180, 240, 270, 300, 600, 900, 1200, 1800, 2700 or 3600 seconds."
  }
  validation {
    condition     = var.rate_limit.requests <= 1000000
    error_message = "Cloud Armor counts to 1 000 000 requests at most."
  }
  validation {
    condition     = var.rate_limit.requests * 60 / var.rate_limit.seconds >= 6000
    error_message = "rate_limit allows fewer than 6 000 requests a minute. A hundred machines behind one address need that many."
  }
}

variable "uptime" {
  description = <<-EOT
    From where Google asks each host for /v2/, how often, and who is told when two places or more get no answer:
    notification channels by their full name (projects/…/notificationChannels/…).
  EOT
  type = object({
    places         = optional(list(string), ["USA_OREGON", "USA_VIRGINIA", "EUROPE", "SOUTH_AMERICA", "ASIA_PACIFIC"])
    period_seconds = optional(number, 60)
    channels       = optional(list(string), [])
  })
  default = {}

  validation {
    condition     = length(distinct(var.uptime.places)) >= 3 && alltrue([for p in var.uptime.places : contains(["USA_OREGON", "USA_IOWA", "USA_VIRGINIA", "EUROPE", "SOUTH_AMERICA", "ASIA_PACIFIC"], p)])
    error_message = "uptime.places has at least three of USA_OREGON, USA_IOWA, USA_VIRGINIA, EUROPE, SOUTH_AMERICA, ASIA_PACIFIC."
  }
  validation {
    condition     = contains([60, 300, 600, 900], var.uptime.period_seconds)
    error_message = "uptime.period_seconds is 60, 300, 600 or 900."
  }
}

variable "logs" {
  description = <<-EOT
    The request log in BigQuery: its location, for how many days a day's partition is kept, and the share of the load
    balancer's requests that is logged, 0 to 1. The requests are in BigQuery only, and not in the bucket _Default too.
  EOT
  type = object({
    location = optional(string, "US")
    days     = optional(number, 90)
    share    = optional(number, 1)
  })
  default = {}

  validation {
    condition     = var.logs.days >= 1 && var.logs.share > 0 && var.logs.share <= 1
    error_message = "logs.days is at least 1, and logs.share above 0 and at most 1."
  }
}

variable "mirror" {
  description = "true: make a service account for the mirror (deploy/cloud-run-mirror-job.yaml). It has no rights here. The stores trust it by the outputs `mirror`."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "true: a service must be unprotected before it can be destroyed."
  type        = bool
  default     = true
}
