locals {
  # One record set for each front and family. A front that is off has none: a record with weight 0 would still be given
  # when all others are unhealthy.
  sets = merge([for name, f in var.fronts : {
    for type, addresses in { A = f.ipv4, AAAA = f.ipv6 } : "${name}/${type}" => {
      front                    = name, type = type, addresses = addresses, weight = f.weight
    } if f.on && length(addresses) > 0
  }]...)
}

resource "aws_route53_zone" "this" {
  name    = var.zone
  comment = "${var.name}: served by a second DNS provider too"

  # Changes stay possible when the region of Route 53's control plane is down.
  enable_accelerated_recovery = true
}

# Each address is asked as clients ask it: TLS with the registry's name, then /v2/. 10 s apart, out after three failures.
resource "aws_route53_health_check" "front" {
  for_each = merge([for key, s in local.sets : { for a in s.addresses : "${key}/${a}" => a }]...)

  type              = "HTTPS"
  ip_address        = each.value
  fqdn              = var.name
  enable_sni        = true
  port              = 443
  resource_path     = var.health_path
  request_interval  = 10
  failure_threshold = 3
  tags              = { Name = "${var.name} ${each.key}" }
}

# One of the front's addresses is enough.
resource "aws_route53_health_check" "any" {
  for_each = local.sets

  type                   = "CALCULATED"
  child_health_threshold = 1
  child_healthchecks     = [for a in each.value.addresses : aws_route53_health_check.front["${each.key}/${a}"].id]
  tags                   = { Name = "${var.name} ${each.key}" }
}

resource "aws_route53_record" "front" {
  for_each = local.sets

  zone_id         = aws_route53_zone.this.zone_id
  name            = var.name
  type            = each.value.type
  ttl             = var.ttl
  records         = each.value.addresses
  set_identifier  = each.value.front
  health_check_id = aws_route53_health_check.any[each.key].id

  weighted_routing_policy {
    weight = each.value.weight
  }
}

resource "aws_route53_record" "validation" {
  for_each = var.validation_records

  zone_id = aws_route53_zone.this.zone_id
  name    = each.key
  type    = "CNAME"
  ttl     = 300
  records = [each.value]
}

resource "aws_route53_record" "caa" {
  zone_id = aws_route53_zone.this.zone_id
  name    = var.zone
  type    = "CAA"
  ttl     = 300
  records = [for authority in var.certificate_authorities : "0 issue \"${authority}\""]
}

# Resolvers take the list of name servers from the zone itself, so the zone must name those of both providers.
resource "aws_route53_record" "ns" {
  count = length(var.other_name_servers) > 0 ? 1 : 0

  zone_id         = aws_route53_zone.this.zone_id
  name            = var.zone
  type            = "NS"
  ttl             = 3600
  allow_overwrite = true
  records         = sort([for s in concat(aws_route53_zone.this.name_servers, var.other_name_servers) : "${trimsuffix(s, ".")}."])
}
