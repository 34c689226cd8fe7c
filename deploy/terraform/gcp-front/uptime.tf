resource "google_monitoring_uptime_check_config" "host" {
  for_each = local.hosts

  project          = var.project
  display_name     = "${var.name}: ${each.key}"
  period           = "${var.uptime.period_seconds}s"
  timeout          = "10s"
  selected_regions = var.uptime.places
  checker_type     = "STATIC_IP_CHECKERS"
  user_labels      = local.labels

  http_check {
    path           = "/v2/" # what each client asks first
    port           = 443
    use_ssl        = true
    validate_ssl   = true
    request_method = "GET"

    accepted_response_status_codes {
      status_value = 200
    }
  }

  monitored_resource {
    type = "uptime_url"
    labels = {
      project_id = var.project
      host       = each.key
    }
  }
}

# The filter names the check by the id that Google gave it, and the resource by the type that the check writes. A name or
# a type written by hand matches nothing, and then the alert never fires.
resource "google_monitoring_alert_policy" "uptime" {
  for_each = local.hosts

  project               = var.project
  display_name          = "${var.name}: ${each.key} does not answer"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = var.uptime.channels
  user_labels           = local.labels

  conditions {
    display_name = "two places or more get no answer"

    condition_threshold {
      filter          = local.uptime_series[each.key]
      comparison      = "COMPARISON_GT"
      threshold_value = 1
      duration        = "${2 * var.uptime.period_seconds}s"

      aggregations {
        per_series_aligner   = "ALIGN_NEXT_OLDER"
        alignment_period     = "${10 * var.uptime.period_seconds}s"
        cross_series_reducer = "REDUCE_COUNT_FALSE"
        group_by_fields      = ["resource.label.host"]
      }

      trigger {
        count = 1
      }
    }
  }

  conditions {
    display_name = "the check itself is silent"

    condition_absent {
      filter   = local.uptime_series[each.key]
      duration = "${max(600, 3 * var.uptime.period_seconds)}s"

      aggregations {
        per_series_aligner   = "ALIGN_FRACTION_TRUE"
        alignment_period     = "${2 * var.uptime.period_seconds}s"
        cross_series_reducer = "REDUCE_MEAN"
        group_by_fields      = ["resource.label.host"]
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "${each.key} does not answer"
    content   = <<-EOT
      Google cannot get https://${each.key}/v2/ from two places or more. Ask it yourself, with IPv4 and IPv6:
      `curl -4 -i https://${each.key}/v2/`. Then read docs/runbook.md: "No server answers".
    EOT
  }
}

locals {
  uptime_series = {
    for host, check in google_monitoring_uptime_check_config.host : host => join(" AND ", [
      "metric.type = \"monitoring.googleapis.com/uptime_check/check_passed\"",
      "resource.type = \"uptime_url\"",
      "metric.labels.check_id = \"${check.uptime_check_id}\"",
    ])
  }
}
