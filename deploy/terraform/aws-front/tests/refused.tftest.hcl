# What the module refuses, and says so before anything is made.
mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
}

variables {
  front = {
    names  = [{ host = "registry.example.org" }]
    behind = "aws-alb"
  }
  regions = {
    us-east-1 = { vpc_id = "vpc-1", public_subnets = ["subnet-1", "subnet-2"], private_subnets = ["subnet-3", "subnet-4"] }
  }
  image           = "registry.example.org/oci-proxy@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  collector_image = "registry.example.org/otelcol@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
  config          = { file = "/config/proxy.yaml" }
  workspace       = "arn:aws:aps:us-east-1:123456789012:workspace/ws-1"
}

run "a_config_for_another_front" {
  command = plan
  variables {
    front = { names = [{ host = "registry.example.org" }], behind = "google-lb" }
  }
  expect_failures = [aws_ecs_task_definition.server]
}

run "connections_and_drain_that_do_not_fit" {
  command = plan
  variables {
    front = { names = [{ host = "registry.example.org" }], behind = "aws-alb", idle_seconds = 60, drain_seconds = 200 }
  }
  expect_failures = [var.front]
}

run "tags_and_a_wildcard" {
  command = plan
  variables {
    image           = "registry.example.org/oci-proxy:1.0"
    collector_image = "registry.example.org/otelcol:latest"
    repositories    = ["arn:aws:ecr:us-east-1:123456789012:repository/*"]
    tls_policy      = "ELBSecurityPolicy-2016-08"
    workspace       = "*"
    memory_mib      = 512
    log_days        = 31
  }
  expect_failures = [var.image, var.collector_image, var.repositories, var.tls_policy, var.workspace, var.memory_mib, var.log_days]
}

run "one_task_in_one_zone" {
  command = plan
  variables {
    regions = {
      us-east-1 = { vpc_id = "vpc-1", public_subnets = ["subnet-1", "subnet-1"], private_subnets = ["subnet-3"], min_tasks = 1 }
    }
  }
  expect_failures = [var.regions]
}

run "two_configs" {
  command = plan
  variables {
    config = { file = "/config/proxy.yaml", publication = { url = "https://storage.example.org/config/", deployment = "x", keys = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] } }
  }
  expect_failures = [var.config]
}
