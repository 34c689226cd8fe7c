variable "azure" {
  description = "What only you know about azure_stores: the subscription, the resource group, and the inputs of the module azure-stores. null: no stores there."
  type = object({
    subscription      = string
    resource_group    = object({ name = string, id = string })
    writer            = optional(object({ issuer = string, subjects = list(string), audiences = optional(list(string), ["api://AzureADTokenExchange"]) }))
    writer_principals = optional(map(string), {})
    purge_principals  = optional(map(string), {})
    log_days          = optional(number, 30)
  })
  default = null

  validation {
    condition     = var.azure != null || length(var.azure_stores) == 0
    error_message = "The config has stores on Azure, and terraform.tfvars has no azure. Add the subscription, the resource group and the writer."
  }
}

provider "azurerm" {
  alias    = "subscription"
  for_each = var.azure == null ? toset([]) : toset(["the only one"])

  subscription_id     = var.azure.subscription
  storage_use_azuread = true # the accounts take no keys
  features {}
}

module "azure_stores" {
  source   = "../../azure-stores"
  for_each = length(var.azure_stores) == 0 ? toset([]) : toset(["the only one"])

  providers = { azurerm = azurerm.subscription[each.key] }

  stores            = merge(values(var.azure_stores)...)
  resource_group    = var.azure.resource_group
  name              = var.name
  writer            = var.azure.writer
  writer_principals = var.azure.writer_principals
  purge_principals  = var.azure.purge_principals
  log_days          = var.azure.log_days
}
