variables {
  platform   = "cloud-run"
  admin_port = 9090
}

run "cloud_run" {
  command = plan

  assert {
    condition     = yamldecode(output.config).receivers.prometheus.scrape_on_shutdown == true
    error_message = "The last counts of an instance are lost."
  }
  assert {
    condition     = strcontains(output.config, "set(resource.attributes[\"service.instance.id\"], resource.attributes[\"faas.instance\"])")
    error_message = "All instances have one name."
  }
  assert {
    condition     = yamldecode(output.config).processors.resourcedetection.detectors == ["env", "gcp"] && keys(yamldecode(output.config).exporters) == ["googlemanagedprometheus"]
    error_message = "The collector is set up for another platform."
  }
  assert {
    condition     = yamldecode(output.config).service.pipelines.metrics.processors == ["memory_limiter", "resourcedetection", "transform"]
    error_message = "The name is set before it is known."
  }
}

run "ecs" {
  command = plan

  variables {
    platform     = "ecs"
    region       = "eu-west-1"
    remote_write = { url = "https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write", region = "us-east-1" }
  }

  assert {
    condition     = strcontains(output.config, "set(resource.attributes[\"service.instance.id\"], resource.attributes[\"aws.ecs.task.arn\"])")
    error_message = "All tasks have one name."
  }
  assert {
    condition = (
      yamldecode(output.config).exporters.prometheusremotewrite.external_labels == { region = "eu-west-1" } &&
      yamldecode(output.config).extensions.sigv4auth == { service = "aps", region = "us-east-1" } &&
      yamldecode(output.config).service.extensions == ["sigv4auth"]
    )
    error_message = "The samples go elsewhere, or unsigned."
  }
}

run "ecs_needs_a_place_for_the_samples" {
  command = plan
  variables {
    platform = "ecs"
  }
  expect_failures = [var.remote_write]
}
