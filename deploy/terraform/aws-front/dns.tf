# Each host leads to the nearest region that is healthy.
resource "aws_route53_record" "host" {
  for_each = var.zone == null || !var.records ? {} : {
    for o in setproduct(local.hosts, keys(var.regions), ["A", "AAAA"]) : join("/", o) => { host = o[0], region = o[1], type = o[2] }
  }

  zone_id        = var.zone
  name           = each.value.host
  type           = each.value.type
  set_identifier = "${var.name}-${each.value.region}"

  latency_routing_policy {
    region = each.value.region
  }

  alias {
    name                   = aws_lb.front[each.value.region].dns_name
    zone_id                = aws_lb.front[each.value.region].zone_id
    evaluate_target_health = true
  }
}
