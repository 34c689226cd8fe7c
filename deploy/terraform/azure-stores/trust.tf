resource "azurerm_user_assigned_identity" "writer" {
  count = var.writer == null ? 0 : 1

  name                = "${var.name}-writer"
  resource_group_name = var.resource_group.name
  location            = values(local.accounts)[0]
  tags                = var.tags
}

# Entra exchanges a token only if issuer, subject and audience are exactly these.
resource "azurerm_federated_identity_credential" "writer" {
  for_each = toset(var.writer == null ? [] : var.writer.subjects)

  name                = substr(replace(each.key, "/[^A-Za-z0-9-]/", "-"), 0, 120)
  resource_group_name = var.resource_group.name
  parent_id           = azurerm_user_assigned_identity.writer[0].id
  issuer              = var.writer.issuer
  subject             = each.key
  audience            = var.writer.audiences
}
