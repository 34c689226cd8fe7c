module "collector" {
  source = "../collector"

  platform   = "cloud-run"
  admin_port = var.front.admin_port
}

resource "google_cloud_run_v2_service" "server" {
  for_each = var.regions

  project  = var.project
  name     = var.name
  location = each.key
  labels   = local.labels

  # Only the load balancer reaches the service: edge rules, rate limits and the client's address hold there.
  ingress              = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  default_uri_disabled = true
  invoker_iam_disabled = true # clients of a registry have no Google identity

  deletion_protection = var.deletion_protection

  template {
    revision                         = var.revision == null ? null : "${var.name}-${var.revision}"
    service_account                  = google_service_account.server.email
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    max_instance_request_concurrency = 1000 # the most there is: an instance learns about its clients, so few and large
    timeout                          = "60s"
    labels                           = local.labels

    scaling {
      min_instance_count = each.value.min_instances
      max_instance_count = each.value.max_instances
    }

    containers {
      name  = "server"
      image = var.image
      args  = ["serve"]

      ports {
        container_port = var.front.port
      }

      dynamic "env" {
        for_each = merge(local.server_env, var.config.publication == null ? {} : { OCI_PROXY_RING = each.value.ring })
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "volume_mounts" {
        for_each = google_secret_manager_secret.config
        content {
          name       = "config"
          mount_path = "/config"
        }
      }

      resources {
        limits            = { cpu = tostring(var.cpu), memory = "${var.memory_mib}Mi" }
        cpu_idle          = false # the server refreshes feeds and inventories and probes candidates between requests
        startup_cpu_boost = true
      }

      # The server is not ready until it has read the inventories, or 10 s have passed.
      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 60

        http_get {
          path = var.front.ready
          port = var.front.port
        }
      }

      liveness_probe {
        period_seconds    = 10
        timeout_seconds   = 5
        failure_threshold = 3

        http_get {
          path = "/-/live"
          port = var.front.port
        }
      }

      # Cloud Run tells the load balancer by this probe when a region is unhealthy. It fails while a server drains, and
      # never because upstreams or stores fail: otherwise all regions would leave together.
      readiness_probe {
        period_seconds    = 5
        timeout_seconds   = 2
        failure_threshold = 2
        success_threshold = 1

        http_get {
          path = var.front.ready
          port = var.front.port
        }
      }
    }

    # No probe asks the collector: an instance without metrics still serves.
    containers {
      name       = "collector"
      image      = var.collector_image
      args       = ["--config=env:COLLECTOR_CONFIG"]
      depends_on = ["server"]

      env {
        name  = "COLLECTOR_CONFIG"
        value = module.collector.config
      }

      resources {
        limits   = { cpu = "0.5", memory = "256Mi" }
        cpu_idle = false
      }
    }

    dynamic "volumes" {
      for_each = google_secret_manager_secret.config
      content {
        name = "config"

        secret {
          secret = volumes.value.secret_id

          items {
            path    = "proxy.yaml"
            version = google_secret_manager_secret_version.config[0].version
          }
        }
      }
    }
  }

  dynamic "traffic" {
    for_each = coalesce(each.value.traffic, var.traffic)
    content {
      type     = traffic.value.revision == null ? "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST" : "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
      revision = traffic.value.revision
      percent  = traffic.value.percent
      tag      = traffic.value.tag
    }
  }

  lifecycle {
    ignore_changes = [client, client_version] # the console and gcloud write their own names there

    precondition {
      condition     = var.front.behind == local.behind
      error_message = "client.behind of the config is \"${var.front.behind}\", but this front is \"${local.behind}\". Set client: {behind: ${local.behind}} in the config, and run oci-proxyctl infra export again. Otherwise the servers take a wrong address for the client's."
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.config]
}
