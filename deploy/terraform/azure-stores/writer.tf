locals {
  # The rights of deploy/permissions/azure-role.json. The right to delete is a role of its own.
  blobs   = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
  rights  = ["${local.blobs}/read", "${local.blobs}/write"]
  deletes = "${local.blobs}/delete"
  path    = "@Resource[${local.blobs}:path]"

  # Azure evaluates a condition for every action of the role, so it must let the other actions pass.
  inventory_only      = "((!(ActionMatches{'${local.deletes}'})) OR (${local.path} StringLike 'inventory/*'))"
  blobs_and_inventory = "((!(ActionMatches{'${local.deletes}'}) AND !(ActionMatches{'${local.blobs}/deleteBlobVersion/action'})) OR (${local.path} StringLike 'containers/images/*' OR ${local.path} StringLike 'inventory/*'))"

  # The keys are known before the identity exists.
  writers = merge(
    var.writer_principals,
    var.writer == null ? {} : { writer = azurerm_user_assigned_identity.writer[0].principal_id },
  )
  writes = { for p in setproduct(keys(var.stores), keys(local.writers)) : "${p[0]} ${p[1]}" => { store = p[0], principal = local.writers[p[1]] } }
  purges = { for p in setproduct(keys(var.stores), keys(var.purge_principals)) : "${p[0]} ${p[1]}" => { store = p[0], principal = var.purge_principals[p[1]] } }
}

resource "azurerm_role_definition" "writer" {
  name        = "${var.name} writer"
  scope       = var.resource_group.id
  description = "Adds blobs and segments, and replaces the head of the inventory. It removes nothing."
  permissions {
    data_actions = local.rights
  }
  assignable_scopes = [var.resource_group.id]
}

resource "azurerm_role_definition" "remover" {
  name        = "${var.name} remover"
  scope       = var.resource_group.id
  description = "Removes blobs. Assign it with a condition only."
  permissions {
    data_actions = [local.deletes]
  }
  assignable_scopes = [var.resource_group.id]
}

# Versions hold what was removed, so a takedown must reach them too.
resource "azurerm_role_definition" "purge" {
  name        = "${var.name} purge"
  scope       = var.resource_group.id
  description = "Removes blobs and their versions. Assign it only while `purge` runs."
  permissions {
    data_actions = concat(local.rights, [local.deletes, "${local.blobs}/deleteBlobVersion/action"])
  }
  assignable_scopes = [var.resource_group.id]
}

resource "azurerm_role_assignment" "writer" {
  for_each = local.writes

  scope              = azurerm_storage_container.store[each.value.store].id
  role_definition_id = azurerm_role_definition.writer.role_definition_resource_id
  principal_id       = each.value.principal
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "inventory" {
  for_each = local.writes

  scope              = azurerm_storage_container.store[each.value.store].id
  role_definition_id = azurerm_role_definition.remover.role_definition_resource_id
  principal_id       = each.value.principal
  principal_type     = "ServicePrincipal"
  condition_version  = "2.0"
  condition          = local.inventory_only
}

resource "azurerm_role_assignment" "purge" {
  for_each = local.purges

  scope              = azurerm_storage_container.store[each.value.store].id
  role_definition_id = azurerm_role_definition.purge.role_definition_resource_id
  principal_id       = each.value.principal
  condition_version  = "2.0"
  condition          = local.blobs_and_inventory
}
