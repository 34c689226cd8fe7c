output "stores" {
  description = "The stores as the config names them, for `oci-proxyctl infra import`."
  value = { for name, s in var.stores : name => {
    bucket        = s.bucket
    container     = s.container
    bucket_url    = "azblob://${s.bucket}/${s.container}"
    region        = azurerm_storage_account.store[s.bucket].location
    place         = "azure/${s.region}"
    url           = "https://${s.bucket}.${var.blob_domain}/${s.container}/containers/images/{digest}"
    inventory_url = "https://${s.bucket}.${var.blob_domain}/${s.container}/inventory/"
    arn           = azurerm_storage_container.store[name].id
    owner         = s.bucket
  } }
}

output "writer_client_id" {
  description = "AZURE_CLIENT_ID of the writer, and `identity.azure.clientID` of the chart. Null without `writer`."
  value       = one(azurerm_user_assigned_identity.writer[*].client_id)
}

output "writer_tenant_id" {
  description = "AZURE_TENANT_ID of the writer, and `identity.azure.tenantID` of the chart. Null without `writer`."
  value       = one(azurerm_user_assigned_identity.writer[*].tenant_id)
}

output "token_audiences" {
  description = "The audiences that a writer's token may have."
  value       = var.writer == null ? [] : var.writer.audiences
}

output "log_workspaces" {
  description = "The workspaces with the table StorageBlobLogs, by region."
  value       = { for region, w in azurerm_log_analytics_workspace.log : region => w.workspace_id }
}
