variable "name" {
  description = "The name of the services and load balancers. Two fronts in one account need two names."
  type        = string
  default     = "oci-proxy"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 21 lower-case letters, digits and hyphens."
  }
}

variable "tags" {
  description = "Tags for everything that can have them."
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
    condition     = var.front.idle_seconds > 60
    error_message = "limits.idleTimeout of the config must be longer than 60s: this load balancer keeps idle connections for 60 s, and sends requests into connections that the server is closing."
  }
  validation {
    condition     = var.front.admin_port > 0 && var.front.admin_port != var.front.port
    error_message = "`admin` of the config must be a port of its own on loopback, such as 127.0.0.1:9090: the collector reads it."
  }
  validation {
    condition     = var.front.drain_seconds >= 10 && var.front.drain_seconds <= 110
    error_message = "limits.drain of the config must be 10s to 110s: the load balancer needs 10 s to see that a task is not ready, and Fargate kills a task after 120 s."
  }
}

variable "regions" {
  description = <<-EOT
    Where the server runs: region => its network, how many tasks, and which `ring` of a publication they follow. The load
    balancer is in `public_subnets`. The tasks are in `private_subnets`, which need a way out to the internet (a NAT
    gateway) for feeds, inventories and upstreams. At least two of each, in different zones. `access_logs` is a bucket
    for the load balancer's log, in the same region.
  EOT
  type = map(object({
    vpc_id          = string
    public_subnets  = list(string)
    private_subnets = list(string)
    min_tasks       = optional(number, 2)
    max_tasks       = optional(number, 10)
    ring            = optional(string, "all")
    access_logs     = optional(string)
  }))

  validation {
    condition     = length(var.regions) > 0
    error_message = "Give at least one region."
  }
  validation {
    condition     = alltrue([for r in keys(var.regions) : can(regex("^[a-z]{2,4}(-[a-z]+)+-[0-9]+$", r))])
    error_message = "A region is written as in us-east-1."
  }
  validation {
    condition     = alltrue([for r in var.regions : length(distinct(r.public_subnets)) >= 2 && length(distinct(r.private_subnets)) >= 2])
    error_message = "Each region needs at least two public and two private subnets, in different zones."
  }
  validation {
    condition     = alltrue([for r in var.regions : r.min_tasks >= 2 && r.max_tasks >= r.min_tasks])
    error_message = "Each region has min_tasks of at least 2, so that it survives the loss of a zone, and max_tasks of at least that."
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
    (otel/opentelemetry-collector-contrib@sha256:…), or another build with the components of collector.yaml.tftpl.
  EOT
  type        = string

  validation {
    condition     = can(regex("^[^@ ]+@sha256:[0-9a-f]{64}$", var.collector_image))
    error_message = "collector_image must end in @sha256: and 64 hexadecimal digits."
  }
}

variable "repositories" {
  description = "The ARNs of the ECR repositories with the two images. Empty: the images are in a registry that needs no login."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for r in var.repositories : can(regex("^arn:[a-z-]+:ecr:[a-z0-9-]+:[0-9]{12}:repository/[^*]+$", r))])
    error_message = "A repository is written as in arn:aws:ecr:us-east-1:123456789012:repository/oci-proxy."
  }
}

variable "config" {
  description = <<-EOT
    Where the servers get their config from. Give one of the two:
    `publication`: a signed publication, which changes without a new task (docs/publication.md);
    `file`: a file in the image. Fargate cannot mount a text as a file.
  EOT
  type = object({
    publication = optional(object({
      url        = string
      deployment = string
      keys       = list(string)
    }))
    file = optional(string)
  })

  validation {
    condition     = (var.config.publication == null) != (var.config.file == null)
    error_message = "Give either config.publication or config.file."
  }
  validation {
    condition     = var.config.publication == null ? true : can(regex("^https://.+/$", var.config.publication.url))
    error_message = "config.publication.url begins with https:// and ends with /."
  }
  validation {
    condition     = var.config.publication == null ? true : length(var.config.publication.keys) > 0 && alltrue([for k in var.config.publication.keys : can(regex("^[A-Za-z0-9+/]{43}=$", k))])
    error_message = "config.publication.keys has at least one public root key: 44 characters, as oci-proxyctl key show prints it."
  }
}

variable "architecture" {
  description = "The processor: \"X86_64\" or \"ARM64\". The images of this project are for both."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture is \"X86_64\" or \"ARM64\"."
  }
}

variable "cpu" {
  description = "CPU units of a task, 1024 for a core. The server and the collector share them."
  type        = number
  default     = 1024

  validation {
    condition     = contains([512, 1024, 2048, 4096], var.cpu)
    error_message = "cpu is 512, 1024, 2048 or 4096."
  }
}

variable "memory_mib" {
  description = "Memory of a task, in MiB. The collector gets 256 of them. docs/sizing.md says what the server needs."
  type        = number
  default     = 2048

  validation {
    condition     = var.memory_mib % 1024 == 0 && var.memory_mib >= 2 * var.cpu && var.memory_mib <= 8 * var.cpu
    error_message = "Fargate has memory in steps of 1024 MiB, from two to eight times the CPU units."
  }
}

variable "workspace" {
  description = "The ARN of the workspace of Amazon Managed Service for Prometheus that gets the metrics of all regions."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:aps:[a-z0-9-]+:[0-9]{12}:workspace/ws-[a-z0-9-]+$", var.workspace))
    error_message = "workspace is written as in arn:aws:aps:us-east-1:123456789012:workspace/ws-0123."
  }
}

variable "tls_policy" {
  description = "The load balancers' policy for TLS. It must not accept versions before 1.2."
  type        = string
  default     = "ELBSecurityPolicy-TLS13-1-2-2021-06"

  validation {
    condition     = can(regex("^ELBSecurityPolicy-TLS13-1-[23]-", var.tls_policy))
    error_message = "tls_policy begins with ELBSecurityPolicy-TLS13-1-2- or ELBSecurityPolicy-TLS13-1-3-."
  }
}

variable "zone" {
  description = <<-EOT
    The id of the Route 53 zone of all hosts. With it, the module makes the records that prove the certificates, and for
    each host records that lead clients to the nearest region that is healthy. null: another party has the zone; see the
    outputs.
  EOT
  type        = string
  default     = null
}

variable "records" {
  description = "false: with `zone`, make only the records that prove the certificates. For hosts that two fronts share (docs/two-fronts.md)."
  type        = bool
  default     = true
}

variable "log_days" {
  description = "For how many days the servers' log is kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400], var.log_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365 or 400 days."
  }
}

variable "deletion_protection" {
  description = "true: a load balancer must be unprotected before it can be destroyed."
  type        = bool
  default     = true
}
