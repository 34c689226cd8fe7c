# What the front promises, asserted on its plan.
mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/registry" }
  }
  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/registry/1", dns_name = "registry-1.us-east-1.elb.amazonaws.com", zone_id = "Z35SXDOTRQ7X7K" }
  }
  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/registry/1" }
  }
  mock_resource "aws_acm_certificate" {
    defaults = {
      arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
      domain_validation_options = [
        { domain_name = "registry.example.org", resource_record_name = "_1.registry.example.org.", resource_record_type = "CNAME", resource_record_value = "_2.acm-validations.aws." },
        { domain_name = "old.example.org", resource_record_name = "_3.old.example.org.", resource_record_type = "CNAME", resource_record_value = "_4.acm-validations.aws." },
      ]
    }
  }
}

variables {
  name = "registry"
  front = {
    names         = [{ host = "registry.example.org" }, { host = "old.example.org", role = "legacy" }]
    behind        = "aws-alb"
    drain_seconds = 20
  }
  regions = {
    us-east-1 = { vpc_id = "vpc-1", public_subnets = ["subnet-1", "subnet-2"], private_subnets = ["subnet-3", "subnet-4"], max_tasks = 20 }
    eu-west-1 = { vpc_id = "vpc-2", public_subnets = ["subnet-5", "subnet-6"], private_subnets = ["subnet-7", "subnet-8"], min_tasks = 3, ring = "canary" }
  }
  image           = "123456789012.dkr.ecr.us-east-1.amazonaws.com/oci-proxy@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  collector_image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/otelcol@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
  config = {
    publication = {
      url        = "https://storage.example.org/config/"
      deployment = "production"
      keys       = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
    }
  }
  workspace = "arn:aws:aps:us-east-1:123456789012:workspace/ws-1"
}

run "tasks_are_reached_through_the_load_balancer_only" {
  command = plan

  assert {
    condition     = alltrue([for r in aws_vpc_security_group_ingress_rule.from_balancer : r.cidr_ipv4 == null && r.cidr_ipv6 == null && r.from_port == 8080 && r.to_port == 8080])
    error_message = "A task is open to more than the load balancer."
  }
  assert {
    condition     = alltrue([for s in aws_ecs_service.server : s.network_configuration[0].assign_public_ip == false]) && aws_ecs_service.server["eu-west-1"].network_configuration[0].subnets == toset(["subnet-7", "subnet-8"])
    error_message = "A task has a public address."
  }
  assert {
    condition     = alltrue([for r in aws_vpc_security_group_ingress_rule.clients : contains([80, 443], r.from_port) && r.from_port == r.to_port]) && length(aws_vpc_security_group_ingress_rule.clients) == 8
    error_message = "The load balancer has another port, or lacks an address family."
  }
}

run "load_balancer" {
  command = plan

  assert {
    condition     = alltrue([for b in aws_lb.front : b.ip_address_type == "dualstack" && b.load_balancer_type == "application" && b.internal == false])
    error_message = "The load balancer is of another kind."
  }
  assert {
    condition     = alltrue([for b in aws_lb.front : b.xff_header_processing_mode == "append" && b.idle_timeout == 60 && b.idle_timeout < var.front.idle_seconds])
    error_message = "The client's address is lost, or the server closes connections first."
  }
  assert {
    condition     = alltrue([for l in aws_lb_listener.https : l.protocol == "HTTPS" && l.port == 443 && l.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06" && l.default_action[0].type == "forward"])
    error_message = "The listener is not for TLS 1.2 and newer."
  }
  assert {
    condition     = alltrue([for l in aws_lb_listener.redirect : l.port == 80 && l.default_action[0].redirect[0].protocol == "HTTPS" && l.default_action[0].redirect[0].status_code == "HTTP_301"])
    error_message = "HTTP is not redirected to HTTPS."
  }
  assert {
    condition     = alltrue([for g in aws_lb_target_group.server : g.health_check[0].path == "/-/ready" && g.health_check[0].matcher == "200" && tonumber(g.deregistration_delay) == 30])
    error_message = "The health check asks something else, or a target leaves before its drain ends."
  }
  assert {
    condition     = alltrue([for c in aws_acm_certificate.hosts : c.domain_name == "registry.example.org" && c.subject_alternative_names == toset(["old.example.org"]) && c.validation_method == "DNS"])
    error_message = "A host has no certificate, or it is proven otherwise."
  }
}

run "service" {
  command = plan

  assert {
    condition     = { for r, s in aws_ecs_service.server : r => s.desired_count } == { us-east-1 = 2, eu-west-1 = 3 }
    error_message = "The numbers of tasks are not those of the region."
  }
  assert {
    condition     = { for r, t in aws_appautoscaling_target.server : r => [t.min_capacity, t.max_capacity] } == { us-east-1 = [2, 20], eu-west-1 = [3, 10] }
    error_message = "The scaling has other bounds."
  }
  assert {
    condition     = alltrue([for s in aws_ecs_service.server : s.deployment_circuit_breaker[0].enable && s.deployment_circuit_breaker[0].rollback && s.deployment_minimum_healthy_percent == 100])
    error_message = "A bad image takes the service down."
  }
  assert {
    condition     = alltrue([for s in aws_ecs_service.server : s.enable_execute_command == false])
    error_message = "Somebody can open a shell in a task."
  }
  assert {
    condition     = alltrue([for g in aws_cloudwatch_log_group.server : g.retention_in_days == 30])
    error_message = "The log is kept for another time."
  }
}

run "containers" {
  command = plan

  assert {
    condition     = alltrue(flatten([for t in local.containers : [for c in t : can(regex("@sha256:[0-9a-f]{64}$", c.image)) && c.readonlyRootFilesystem && c.linuxParameters.capabilities.drop == ["ALL"]]]))
    error_message = "A container has an image without digest, or more than it needs."
  }
  assert {
    condition     = alltrue([for t in local.containers : t[0].essential && !t[1].essential && t[0].stopTimeout == 30])
    error_message = "The collector's end would end the task, or the server is killed while it drains."
  }
  assert {
    condition     = alltrue([for t in local.containers : length([for c in t : c if can(c.dependsOn)]) == 0 && length(t[0].portMappings) == 1])
    error_message = "The collector would stop before the server drains, or the admin port is open."
  }
  assert {
    condition = { for e in local.containers["eu-west-1"][0].environment : e.name => e.value } == {
      OCI_PROXY_CONFIG      = "https://storage.example.org/config/"
      OCI_PROXY_CONFIG_KEYS = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
      OCI_PROXY_DEPLOYMENT  = "production"
      OCI_PROXY_RING        = "canary"
      GOMEMLIMIT            = "1612MiB"
    }
    error_message = "The server gets another environment."
  }
  assert {
    condition = (
      yamldecode(local.containers["eu-west-1"][1].environment[0].value).exporters.prometheusremotewrite.endpoint == "https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write" &&
      yamldecode(local.containers["eu-west-1"][1].environment[0].value).exporters.prometheusremotewrite.external_labels.region == "eu-west-1"
    )
    error_message = "The collector writes elsewhere."
  }
}

run "rights" {
  command = plan

  assert {
    condition     = jsondecode(aws_iam_role_policy.task.policy).Statement == [{ Sid = "WriteMetrics", Effect = "Allow", Action = "aps:RemoteWrite", Resource = "arn:aws:aps:us-east-1:123456789012:workspace/ws-1" }]
    error_message = "The task may do more than write metrics."
  }
  assert {
    condition     = jsondecode(aws_iam_role.task.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "Another account's tasks could take the role."
  }
}

run "no_zone" {
  command = plan

  assert {
    condition     = length(aws_route53_record.proof) == 0 && length(aws_route53_record.host) == 0
    error_message = "The module writes into a zone that nobody gave it."
  }
}

# After a mocked apply: what is known only then.
run "zone" {
  command = apply

  variables {
    zone         = "Z1"
    repositories = ["arn:aws:ecr:us-east-1:123456789012:repository/oci-proxy"]
  }

  assert {
    condition     = length(aws_route53_record.host) == 8 && alltrue([for r in aws_route53_record.host : r.alias[0].evaluate_target_health && length(r.latency_routing_policy) == 1])
    error_message = "A host does not lead to the nearest healthy region."
  }
  assert {
    condition     = aws_route53_record.proof["old.example.org"].name == "_3.old.example.org." && output.certificate_records["registry.example.org"].data == "_2.acm-validations.aws."
    error_message = "A certificate is not proven."
  }
  assert {
    condition     = alltrue([for r in aws_vpc_security_group_ingress_rule.from_balancer : r.referenced_security_group_id == aws_security_group.balancer[r.region].id])
    error_message = "Another group reaches the tasks."
  }
  assert {
    condition     = alltrue([for s in jsondecode(aws_iam_role_policy.execution.policy).Statement : try(contains(s.Resource, "*"), s.Resource == "*") ? s.Action == ["ecr:GetAuthorizationToken"] : true])
    error_message = "A right has no resource."
  }
  assert {
    condition     = output.behind == "aws-alb" && output.addresses.alias["eu-west-1"].name == "registry-1.us-east-1.elb.amazonaws.com" && output.addresses.ipv4 == null
    error_message = "An output is another value."
  }
}

run "zone_of_two_fronts" {
  command = plan

  variables {
    zone    = "Z1"
    records = false
  }

  assert {
    condition     = length(aws_route53_record.proof) == 2 && length(aws_route53_record.host) == 0
    error_message = "The module writes records that two fronts share."
  }
}
