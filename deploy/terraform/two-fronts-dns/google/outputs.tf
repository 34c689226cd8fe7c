output "name_servers" {
  description = "Name servers of the zone at Cloud DNS. Delegate the zone to these and those of the other provider."
  value       = [for s in google_dns_managed_zone.this.name_servers : trimsuffix(s, ".")]
}

output "zone_name" {
  description = "Name of the managed zone."
  value       = google_dns_managed_zone.this.name
}
