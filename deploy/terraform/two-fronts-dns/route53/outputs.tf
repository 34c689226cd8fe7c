output "name_servers" {
  description = "Name servers of the zone at Route 53. Delegate the zone to these and those of the other provider."
  value       = [for s in aws_route53_zone.this.name_servers : trimsuffix(s, ".")]
}

output "zone_id" {
  description = "Identifier of the hosted zone."
  value       = aws_route53_zone.this.zone_id
}
