# Proven by DNS: it can be issued before a host points here, and beside another front that serves the same host.
resource "aws_acm_certificate" "hosts" {
  for_each = var.regions

  region                    = each.key
  domain_name               = local.hosts[0]
  subject_alternative_names = slice(local.hosts, 1, length(local.hosts))
  validation_method         = "DNS"
  tags                      = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  # ACM asks for the same record in all regions of an account.
  proofs = { for o in aws_acm_certificate.hosts[keys(var.regions)[0]].domain_validation_options : o.domain_name => o }
}

resource "aws_route53_record" "proof" {
  for_each = var.zone == null ? toset([]) : toset(local.hosts)

  zone_id         = var.zone
  name            = local.proofs[each.key].resource_record_name
  type            = local.proofs[each.key].resource_record_type
  records         = [local.proofs[each.key].resource_record_value]
  ttl             = 300
  allow_overwrite = true # another front of this account needs the same record
}

# It waits until the certificate is issued, because a listener takes no other.
resource "aws_acm_certificate_validation" "hosts" {
  for_each = var.regions

  region                  = each.key
  certificate_arn         = aws_acm_certificate.hosts[each.key].arn
  validation_record_fqdns = var.zone == null ? null : [for r in aws_route53_record.proof : r.fqdn]
}
