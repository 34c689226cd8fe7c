locals {
  # The rights of deploy/permissions/gcs-role.yaml. The right to delete is a role of its own.
  rights = ["storage.buckets.get", "storage.objects.create", "storage.objects.get", "storage.objects.list"]

  pool_id     = lower("${var.role_prefix}-writer")
  provider_id = "oidc"
  federated   = var.writer == null ? [] : var.writer.subjects

  # The keys are known before the pool exists.
  writers = merge(
    { for m in var.writer_members : m => m },
    { for s in local.federated : "subject ${s}" => "principal://iam.googleapis.com/${google_iam_workload_identity_pool.writer[0].name}/subject/${s}" },
  )
  purgers = { for m in var.purge_members : m => m }

  writes = { for p in setproduct(keys(var.stores), keys(local.writers)) : "${p[0]} ${p[1]}" => { store = p[0], member = local.writers[p[1]] } }
  purges = { for p in setproduct(keys(var.stores), keys(local.purgers)) : "${p[0]} ${p[1]}" => { store = p[0], member = local.purgers[p[1]] } }

  objects = { for name, s in var.stores : name => "projects/_/buckets/${s.bucket}/objects" }
}

resource "google_project_iam_custom_role" "writer" {
  project     = var.project
  role_id     = "${var.role_prefix}Writer"
  title       = "oci-proxy writer"
  description = "Adds blobs and segments. It cannot replace or remove anything."
  permissions = local.rights
}

# To replace an object is a deletion for Google.
resource "google_project_iam_custom_role" "remover" {
  project     = var.project
  role_id     = "${var.role_prefix}Remover"
  title       = "oci-proxy remover"
  description = "Replaces and removes objects. Bind it with a condition only."
  permissions = ["storage.objects.delete"]
}

resource "google_storage_bucket_iam_member" "writer" {
  for_each = local.writes

  bucket = google_storage_bucket.store[each.value.store].name
  role   = "projects/${var.project}/roles/${google_project_iam_custom_role.writer.role_id}"
  member = each.value.member
}

resource "google_storage_bucket_iam_member" "inventory" {
  for_each = local.writes

  bucket = google_storage_bucket.store[each.value.store].name
  role   = "projects/${var.project}/roles/${google_project_iam_custom_role.remover.role_id}"
  member = each.value.member
  condition {
    title      = "inventory-only"
    expression = "resource.name.startsWith(\"${local.objects[each.value.store]}/inventory/\")"
  }
}

resource "google_storage_bucket_iam_member" "purge" {
  for_each = local.purges

  bucket = google_storage_bucket.store[each.value.store].name
  role   = "projects/${var.project}/roles/${google_project_iam_custom_role.remover.role_id}"
  member = each.value.member
  condition {
    title      = "blobs-and-inventory"
    expression = "resource.name.startsWith(\"${local.objects[each.value.store]}/containers/images/\") || resource.name.startsWith(\"${local.objects[each.value.store]}/inventory/\")"
  }
}

resource "google_storage_bucket_iam_member" "purge_writer" {
  for_each = local.purges

  bucket = google_storage_bucket.store[each.value.store].name
  role   = "projects/${var.project}/roles/${google_project_iam_custom_role.writer.role_id}"
  member = each.value.member
}
