# The first rule that matches decides, and a rule with the action throttle lets through what stays below the limit. So the
# limit is on the rules that allow paths: a throttle rule of its own before them would open all paths. Everything that no
# rule names is refused.
resource "google_compute_security_policy" "edge" {
  project     = var.project
  name        = var.name
  description = "Written by oci-proxy routes --format cloud-armor"
  type        = "CLOUD_ARMOR"

  dynamic "rule" {
    for_each = { for r in var.edge_rules.rules : r.priority => r }
    content {
      priority    = rule.value.priority
      description = rule.value.description
      action      = rule.value.action == "allow" ? "throttle" : rule.value.action
      preview     = var.edge_preview

      match {
        expr {
          expression = rule.value.expression
        }
      }

      dynamic "rate_limit_options" {
        for_each = rule.value.action == "allow" ? [var.rate_limit] : []
        content {
          conform_action = "allow"
          exceed_action  = "deny(429)"
          enforce_on_key = "IP"

          rate_limit_threshold {
            count        = rate_limit_options.value.requests
            interval_sec = rate_limit_options.value.seconds
          }
        }
      }
    }
  }

  rule {
    priority    = 2147483647
    description = "the server has no such path"
    action      = var.edge_rules.default_action
    preview     = var.edge_preview

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}
