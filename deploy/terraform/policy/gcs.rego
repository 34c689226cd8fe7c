# Buckets and roles of Google Cloud.
package main

import rego.v1

public_members := {"allUsers", "allAuthenticatedUsers"}

# Grants of a role on a bucket to members.
gcs_grants contains {"address": r.address, "bucket": r.values.bucket, "role": r.values.role, "members": members, "condition": object.get(r.values, "condition", [])} if {
	some type in ["google_storage_bucket_iam_member", "google_storage_bucket_iam_binding"]
	some r in of(type)
	members := object.get(r.values, "members", [object.get(r.values, "member", "known after apply")])
}

is_public(bucket) if {
	some g in gcs_grants
	g.bucket == bucket
	some m in g.members
	m in public_members
}

gcs_logs contains l.log_bucket if {
	some b in of("google_storage_bucket")
	some l in object.get(b.values, "logging", [])
}

gcs_stores := {b | some b in of("google_storage_bucket"); not b.values.name in gcs_logs}

deny contains sprintf("%s: uniform_bucket_level_access must be true: ACLs could make objects public", [b.address]) if {
	some b in of("google_storage_bucket")
	object.get(b.values, "uniform_bucket_level_access", false) != true
}

deny contains sprintf("%s: public_access_prevention must be enforced, because the bucket is not public", [b.address]) if {
	some b in of("google_storage_bucket")
	object.get(b.values, "public_access_prevention", "") != "enforced"
	not is_public(b.values.name)
}

deny contains sprintf("%s: neither versions nor soft deletion: what is deleted by mistake is lost", [b.address]) if {
	some b in gcs_stores
	not true in {v.enabled | some v in object.get(b.values, "versioning", [])}
	count({1 | some s in object.get(b.values, "soft_delete_policy", []); s.retention_duration_seconds > 0}) == 0
}

deny contains sprintf("%s: no rule removes old versions", [b.address]) if {
	some b in gcs_stores
	true in {v.enabled | some v in object.get(b.values, "versioning", [])}
	not "Delete" in lifecycle_actions(b)
}

deny contains sprintf("%s: no rule AbortIncompleteMultipartUpload: parts of unfinished uploads would stay forever", [b.address]) if {
	some b in gcs_stores
	not "AbortIncompleteMultipartUpload" in lifecycle_actions(b)
}

lifecycle_actions(b) := {a.type | some rule in object.get(b.values, "lifecycle_rule", []); some a in rule.action}

deny contains sprintf("%s: no access log", [b.address]) if {
	some b in gcs_stores
	count(object.get(b.values, "logging", [])) == 0
}

deny contains sprintf("%s: %s lets anybody do more than get an object whose name they know; give roles/storage.legacyObjectReader", [g.address, g.role]) if {
	some g in gcs_grants
	some m in g.members
	m in public_members
	g.role != "roles/storage.legacyObjectReader"
}

deny contains sprintf("%s: ACLs do not count with uniform access, and say nothing good", [r.address]) if {
	some r in resources
	r.type in {"google_storage_bucket_acl", "google_storage_default_object_acl", "google_storage_bucket_access_control", "google_storage_default_object_access_control", "google_storage_object_access_control"}
}

deny contains sprintf("%s: the role may create objects and delete them: a writer must not delete blobs", [r.address]) if {
	some r in of("google_project_iam_custom_role")
	"storage.objects.create" in r.values.permissions
	"storage.objects.delete" in r.values.permissions
}

# A role that deletes is bound with a condition: to the inventory, or for purge to blobs too.
deleters := {r.values.role_id | some r in of("google_project_iam_custom_role"); "storage.objects.delete" in r.values.permissions}

deny contains sprintf("%s: the right to delete has no condition that limits it to inventory/ (or, with the title blobs-and-inventory, to what purge removes)", [g.address]) if {
	some g in gcs_grants
	regex.replace(g.role, "^.*/", "") in deleters
	not limited(g)
}

limited(g) if {
	some c in g.condition
	c.title == "blobs-and-inventory"
	contains(c.expression, "/objects/inventory/")
}

limited(g) if {
	some c in g.condition
	regex.match(`^resource\.name\.startsWith\("projects/_/buckets/[^"/]+/objects/inventory/"\)$`, c.expression)
}

deny contains sprintf("%s: %s gives rights to every bucket and more", [r.address, r.values.role]) if {
	some r in resources
	r.type in {"google_project_iam_member", "google_project_iam_binding", "google_storage_bucket_iam_member", "google_storage_bucket_iam_binding"}
	regex.match(`^roles/(owner|editor|storage\.(admin|objectAdmin|objectUser|legacyBucketOwner|legacyBucketWriter))$`, r.values.role)
}

deny contains sprintf("%s: %s", [r.address, why]) if {
	some r in of("google_iam_workload_identity_pool_provider")
	some why in {w |
		some w, ok in {
			"no attribute_condition: every subject of the issuer would be accepted": regex.match(`assertion\.sub`, object.get(r.values, "attribute_condition", "")),
			"no allowed_audiences: set them, or tokens for others could be accepted": audiences_set(r),
		}
		not ok
	}
}

# The default audience has the pool's name, which the plan may not know.
default audiences_set(_) := false

audiences_set(r) if {
	some o in r.values.oidc
	count(o.allowed_audiences) > 0
}

audiences_set(r) if {
	some o in r.values.oidc
	not o.allowed_audiences
}
