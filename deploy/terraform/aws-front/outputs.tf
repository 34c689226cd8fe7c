output "addresses" {
  description = "The addresses of this front, for DNS: `alias` is region => the load balancer's name, and the Route 53 zone that the name is in. It has no fixed addresses."
  value = {
    ipv4  = null
    ipv6  = null
    alias = { for region, lb in aws_lb.front : region => { name = lb.dns_name, zone = lb.zone_id } }
  }
}

output "certificate_records" {
  description = "host => the DNS record that proves it, which must exist before its certificate is issued, and stay. With `zone` the module makes them."
  value = {
    for host, o in local.proofs : host => { name = o.resource_record_name, type = o.resource_record_type, data = o.resource_record_value }
  }
}

output "behind" {
  description = "What client.behind of the config must be."
  value       = local.behind
}

output "services" {
  description = "region => the ECS service, and its task definition."
  value = {
    for region, s in aws_ecs_service.server : region => { id = s.id, revision = s.task_definition }
  }
}

output "task_role" {
  description = "The ARN of the role that the server and the collector have."
  value       = aws_iam_role.task.arn
}
