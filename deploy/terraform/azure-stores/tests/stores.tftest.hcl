mock_provider "azurerm" {
  mock_resource "azurerm_storage_account" {
    defaults = {
      id = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/layers/providers/Microsoft.Storage/storageAccounts/layerswe"
    }
  }
}

variables {
  resource_group = {
    name = "layers"
    id   = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/layers"
  }
  stores = {
    az-we = { bucket = "layerswe", container = "blobs", region = "westeurope" }
    az-eu = { bucket = "layerseu", container = "blobs", region = "eastus" }
  }
  writer = {
    issuer   = "https://oidc.example.org/cluster"
    subjects = ["system:serviceaccount:oci-proxy:mirror"]
  }
}

run "promises" {
  command = plan
  assert {
    condition     = alltrue([for a in values(azurerm_storage_account.store) : a.https_traffic_only_enabled && a.min_tls_version == "TLS1_2"])
    error_message = "Plain HTTP and old TLS are refused."
  }
  assert {
    condition     = alltrue([for a in values(azurerm_storage_account.store) : !a.shared_access_key_enabled && !a.local_user_enabled && !a.sftp_enabled && !a.cross_tenant_replication_enabled])
    error_message = "There is no way to write without an identity."
  }
  assert {
    condition     = alltrue([for a in values(azurerm_storage_account.store) : a.allow_nested_items_to_be_public])
    error_message = "The account lets containers be public."
  }
  assert {
    condition     = azurerm_storage_account.store["layerswe"].location == "westeurope"
    error_message = "The account lies in the region of its place."
  }
  assert {
    condition     = alltrue([for a in values(azurerm_storage_account.store) : a.blob_properties[0].versioning_enabled && a.blob_properties[0].delete_retention_policy[0].days == 7 && a.blob_properties[0].container_delete_retention_policy[0].days == 7])
    error_message = "What is replaced or removed is kept for 7 days."
  }
  assert {
    condition     = alltrue([for p in values(azurerm_storage_management_policy.store) : p.rule[0].enabled && p.rule[0].actions[0].version[0].delete_after_days_since_creation == 7])
    error_message = "Versions expire."
  }
  assert {
    condition     = alltrue([for c in values(azurerm_storage_container.store) : c.container_access_type == "blob"])
    error_message = "Level blob: level container would permit to list."
  }
  assert {
    condition     = alltrue([for p in azurerm_role_definition.writer.permissions : length(coalesce(p.actions, [])) == 0 && p.data_actions == toset(["Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read", "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"])])
    error_message = "The writer's role reads and writes blobs, and nothing else."
  }
  assert {
    condition     = alltrue([for a in values(azurerm_role_assignment.inventory) : a.condition_version == "2.0" && a.condition == "((!(ActionMatches{'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete'})) OR (@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringLike 'inventory/*'))"]) && length(azurerm_role_assignment.inventory) == 2
    error_message = "The writer deletes below the inventory only."
  }
  assert {
    condition     = length(azurerm_role_assignment.purge) == 0
    error_message = "Nobody may purge unless named."
  }
  assert {
    condition     = [for c in values(azurerm_federated_identity_credential.writer) : [c.issuer, c.subject, c.audience[0]]] == [["https://oidc.example.org/cluster", "system:serviceaccount:oci-proxy:mirror", "api://AzureADTokenExchange"]]
    error_message = "Issuer, subject and audience are named exactly."
  }
  assert {
    condition     = length(azurerm_log_analytics_workspace.log) == 2 && azurerm_log_analytics_workspace.log["westeurope"].location == "westeurope" && azurerm_log_analytics_workspace.log["westeurope"].retention_in_days == 30
    error_message = "Logs stay in the region and expire."
  }
  assert {
    condition     = toset([for l in azurerm_monitor_diagnostic_setting.log["layerswe"].enabled_log : l.category]) == toset(["StorageRead", "StorageWrite", "StorageDelete"])
    error_message = "Reads, writes and deletions are logged."
  }
}

run "purge_is_apart" {
  command = plan
  variables {
    purge_principals = { oncall = "99999999-2222-3333-4444-555555555555" }
  }
  assert {
    condition     = length(azurerm_role_assignment.purge) == 2 && strcontains(azurerm_role_assignment.purge["az-we oncall"].condition, "StringLike 'containers/images/*'")
    error_message = "Who purges may delete blobs."
  }
  assert {
    condition     = alltrue([for p in azurerm_role_definition.purge.permissions : contains(p.data_actions, "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/deleteBlobVersion/action")])
    error_message = "A takedown reaches the versions."
  }
}

run "without_a_writer_there_is_no_trust" {
  command = plan
  variables {
    writer = null
  }
  assert {
    condition     = length(azurerm_user_assigned_identity.writer) == 0 && length(azurerm_role_assignment.writer) == 0
    error_message = "No identity is made that nobody asked for."
  }
}

run "two_regions_in_one_account_are_refused" {
  command = plan
  variables {
    stores = {
      a = { bucket = "layers", container = "aaa", region = "westeurope" }
      b = { bucket = "layers", container = "bbb", region = "eastus" }
    }
  }
  expect_failures = [var.stores]
}

run "two_audiences_are_refused" {
  command = plan
  variables {
    writer = { issuer = "https://oidc.example.org", subjects = ["a"], audiences = ["x", "y"] }
  }
  expect_failures = [var.writer]
}

run "a_wildcard_subject_is_refused" {
  command = plan
  variables {
    writer = { issuer = "https://oidc.example.org", subjects = ["repo:example/*"] }
  }
  expect_failures = [var.writer]
}
