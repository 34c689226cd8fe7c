# What the config says. `oci-proxyctl infra export` writes stores.auto.tfvars.json with these variables: do not write them by
# hand. Every module takes what it needs of them.

variable "aws_stores" {
  description = "The stores on S3: account => name of the store => its bucket."
  type        = any
  default     = {}
}

variable "gcp_stores" {
  description = "The stores on Google Cloud Storage: project => name of the store => its bucket."
  type        = any
  default     = {}
}

variable "azure_stores" {
  description = "The stores on Azure: storage account => name of the store => its container."
  type        = any
  default     = {}
}

variable "r2_stores" {
  description = "The stores on R2: account => name of the store => its bucket."
  type        = any
  default     = {}
}

variable "front" {
  description = "What load balancers need to know: names, ports, how clients' addresses arrive."
  type        = any
}
