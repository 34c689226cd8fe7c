resource "azurerm_log_analytics_workspace" "log" {
  for_each = toset(var.log_days > 0 ? values(local.accounts) : [])

  name                         = "${var.name}-${each.key}"
  resource_group_name          = var.resource_group.name
  location                     = each.key
  sku                          = "PerGB2018"
  retention_in_days            = var.log_days
  local_authentication_enabled = false
  internet_ingestion_enabled   = false
  internet_query_enabled       = true
  tags                         = var.tags
}

# The table StorageBlobLogs has the reads of anonymous clients too.
resource "azurerm_monitor_diagnostic_setting" "log" {
  for_each = var.log_days > 0 ? local.accounts : {}

  name                       = var.name
  target_resource_id         = "${azurerm_storage_account.store[each.key].id}/blobServices/default"
  log_analytics_workspace_id = azurerm_log_analytics_workspace.log[each.value].id
  dynamic "enabled_log" {
    for_each = toset(["StorageRead", "StorageWrite", "StorageDelete"])
    content {
      category = enabled_log.value
    }
  }
}
