# Storage accounts and roles of Azure.
package main

import rego.v1

account_needs := {
	"https_traffic_only_enabled": true,
	"min_tls_version": "TLS1_2",
	"shared_access_key_enabled": false,
	"cross_tenant_replication_enabled": false,
	"local_user_enabled": false,
}

deny contains sprintf("%s: %s must be %v", [a.address, argument, wanted]) if {
	some a in of("azurerm_storage_account")
	some argument, wanted in account_needs
	object.get(a.values, argument, null) != wanted
}

deny contains sprintf("%s: no versions, or no days to take a deletion back", [a.address]) if {
	some a in of("azurerm_storage_account")
	count({1 |
		some b in object.get(a.values, "blob_properties", [])
		b.versioning_enabled == true
		count(b.delete_retention_policy) > 0
	}) == 0
}

deny contains sprintf("%s: container_access_type %s lets anybody list; use blob", [c.address, c.values.container_access_type]) if {
	some c in of("azurerm_storage_container")
	not c.values.container_access_type in {"blob", "private"}
}

blobs := "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/"

deny contains sprintf("%s: the wildcard in %s allows more than is needed", [r.address, action]) if {
	some r in of("azurerm_role_definition")
	some p in r.values.permissions
	some field in ["actions", "data_actions"]
	some action in object.get(p, field, [])
	contains(action, "*")
}

# Purge removes versions too, and needs to write the inventory. Its assignment has a condition.
deny contains sprintf("%s: the role may write blobs and delete them: a writer must not delete", [r.address]) if {
	some r in of("azurerm_role_definition")
	some p in r.values.permissions
	may := {a | some a in p.data_actions}
	concat("", [blobs, "write"]) in may
	concat("", [blobs, "delete"]) in may
	not concat("", [blobs, "deleteBlobVersion/action"]) in may
}

azure_deleters := {r.values.role_definition_resource_id |
	some r in of("azurerm_role_definition")
	some p in r.values.permissions
	concat("", [blobs, "delete"]) in p.data_actions
}

deny contains sprintf("%s: the right to delete has no condition on the path", [r.address]) if {
	some r in of("azurerm_role_assignment")
	r.values.role_definition_id in azure_deleters
	not contains(object.get(r.values, "condition", ""), "StringLike 'inventory/*'")
}

deny contains sprintf("%s: the built-in role %s gives more than is needed", [r.address, r.values.role_definition_name]) if {
	some r in of("azurerm_role_assignment")
	regex.match(`^(Owner|Contributor|Storage Account Contributor|Storage Blob Data (Owner|Contributor))$`, object.get(r.values, "role_definition_name", ""))
}

deny contains sprintf("%s: %s is empty or has a wildcard", [r.address, claim]) if {
	some r in of("azurerm_federated_identity_credential")
	some claim in ["issuer", "subject", "audience"]
	values := list(object.get(r.values, claim, ""))
	count({1 | some v in values; v != ""; not contains(v, "*")}) == 0
}
