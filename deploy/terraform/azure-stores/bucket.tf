locals {
  accounts = { for account in distinct([for s in values(var.stores) : s.bucket]) : account => one(distinct([for s in values(var.stores) : s.region if s.bucket == account])) }
}

resource "azurerm_storage_account" "store" {
  for_each = local.accounts

  name                     = each.key
  resource_group_name      = var.resource_group.name
  location                 = each.value
  account_kind             = "StorageV2"
  account_tier             = "Standard"
  account_replication_type = var.replication
  access_tier              = "Hot"
  tags                     = var.tags

  https_traffic_only_enabled      = true
  min_tls_version                 = "TLS1_2"
  public_network_access_enabled   = true
  allow_nested_items_to_be_public = true  # each container still says whether it is
  shared_access_key_enabled       = false # so that every write has an identity, and no SAS can be made with a key
  default_to_oauth_authentication = true
  local_user_enabled              = false
  sftp_enabled                    = false

  # Nothing outside this tenant may replicate the account.
  cross_tenant_replication_enabled = false

  blob_properties {
    versioning_enabled = true
    delete_retention_policy {
      days = var.keep_days
    }
    container_delete_retention_policy {
      days = var.keep_days
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

# Level blob: anybody gets a blob whose name they know. Level container would permit to list. It covers the whole
# container: keep nothing else in it.
resource "azurerm_storage_container" "store" {
  for_each = var.stores

  name                  = each.value.container
  storage_account_id    = azurerm_storage_account.store[each.value.bucket].id
  container_access_type = "blob"

  lifecycle {
    prevent_destroy = true
  }
}

# Azure itself drops the blocks of an upload that never ended, after a week.
resource "azurerm_storage_management_policy" "store" {
  for_each = local.accounts

  storage_account_id = azurerm_storage_account.store[each.key].id
  rule {
    name    = "expire-versions"
    enabled = true
    filters {
      blob_types = ["blockBlob"]
    }
    actions {
      version {
        delete_after_days_since_creation = var.keep_days
      }
    }
  }
}
