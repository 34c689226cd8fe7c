output "addresses" {
  description = "The addresses of this front, for DNS: A and AAAA records of each host. `alias` is for fronts that have a name instead."
  value = {
    ipv4  = google_compute_global_address.front["ipv4"].address
    ipv6  = google_compute_global_address.front["ipv6"].address
    alias = null
  }
}

output "certificate_records" {
  description = "host => the DNS record that proves it, which must exist before its certificate is issued, and stay."
  value = {
    for host, a in google_certificate_manager_dns_authorization.host : host => one([
      for r in a.dns_resource_record : { name = r.name, type = r.type, data = r.data }
    ])
  }
}

output "behind" {
  description = "What client.behind of the config must be."
  value       = local.behind
}

output "services" {
  description = "region => the Cloud Run service, and the revision that was made last."
  value = {
    for region, s in google_cloud_run_v2_service.server : region => { id = s.id, revision = s.latest_created_revision }
  }
}

output "server" {
  description = "The service account that the servers run as."
  value       = google_service_account.server.email
}

output "mirror" {
  description = "The service account of the mirror: `unique_id` is `sub` and `azp` of its ID tokens, for the trust of the stores. null without `mirror`."
  value       = one([for a in google_service_account.mirror : { email = a.email, unique_id = a.unique_id }])
}

output "requests_dataset" {
  description = "The BigQuery dataset with the request log."
  value       = google_bigquery_dataset.requests.id
}
