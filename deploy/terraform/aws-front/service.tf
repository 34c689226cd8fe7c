module "collector" {
  source   = "../collector"
  for_each = var.regions

  platform   = "ecs"
  admin_port = var.front.admin_port
  region     = each.key

  remote_write = {
    url    = "https://aps-workspaces.${local.workspace.region}.${data.aws_partition.current.dns_suffix}/workspaces/${local.workspace.id}/api/v1/remote_write"
    region = local.workspace.region
  }
}

locals {
  collector_mib = 256
  server_mib    = var.memory_mib - local.collector_mib

  server_env = merge({ GOMEMLIMIT = "${floor(local.server_mib * 0.9)}MiB" }, var.config.publication == null ? {
    OCI_PROXY_CONFIG = var.config.file
    } : {
    OCI_PROXY_CONFIG      = var.config.publication.url
    OCI_PROXY_DEPLOYMENT  = var.config.publication.deployment
    OCI_PROXY_CONFIG_KEYS = join(",", var.config.publication.keys)
  })

  log = { for region, g in aws_cloudwatch_log_group.server : region => {
    logDriver = "awslogs"
    options   = { awslogs-group = g.name, awslogs-region = region, awslogs-stream-prefix = "task", mode = "non-blocking" }
  } }

  # Nothing depends on anything here: ECS stops containers in the reverse order of their dependencies, and the collector
  # must read the server once more while the server drains.
  containers = { for region, r in var.regions : region => [
    {
      name                   = "server"
      image                  = var.image
      essential              = true
      command                = ["serve"]
      memory                 = local.server_mib
      readonlyRootFilesystem = true
      linuxParameters        = { capabilities = { drop = ["ALL"] } }
      stopTimeout            = min(local.leave_seconds, 120)
      portMappings           = [{ containerPort = var.front.port, protocol = "tcp" }]
      ulimits                = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
      logConfiguration       = local.log[region]
      environment = [
        for name, value in merge(local.server_env, var.config.publication == null ? {} : { OCI_PROXY_RING = r.ring }) : { name = name, value = value }
      ]
    },
    {
      name                   = "collector"
      image                  = var.collector_image
      essential              = false # a task without metrics still serves
      command                = ["--config=env:COLLECTOR_CONFIG"]
      memory                 = local.collector_mib
      readonlyRootFilesystem = true
      linuxParameters        = { capabilities = { drop = ["ALL"] } }
      stopTimeout            = min(local.leave_seconds, 120)
      logConfiguration       = local.log[region]
      environment            = [{ name = "COLLECTOR_CONFIG", value = module.collector[region].config }]
    },
  ] }
}

resource "aws_cloudwatch_log_group" "server" {
  for_each = var.regions

  region            = each.key
  name              = "/${var.name}/server"
  retention_in_days = var.log_days
  tags              = local.tags
}

resource "aws_ecs_cluster" "front" {
  for_each = var.regions

  region = each.key
  name   = var.name
  tags   = local.tags

  setting {
    name  = "containerInsights"
    value = "disabled" # the collector has the metrics
  }
}

resource "aws_ecs_task_definition" "server" {
  for_each = var.regions

  region                   = each.key
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = tostring(var.cpu)
  memory                   = tostring(var.memory_mib)
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode(local.containers[each.key])
  tags                     = local.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  lifecycle {
    precondition {
      condition     = var.front.behind == local.behind
      error_message = "client.behind of the config is \"${var.front.behind}\", but this front is \"${local.behind}\". Set client: {behind: ${local.behind}} in the config, and run oci-proxyctl infra export again. Otherwise the servers take a wrong address for the client's."
    }
  }
}

resource "aws_ecs_service" "server" {
  for_each = var.regions

  region                             = each.key
  name                               = var.name
  cluster                            = aws_ecs_cluster.front[each.key].arn
  task_definition                    = aws_ecs_task_definition.server[each.key].arn
  desired_count                      = each.value.min_tasks
  launch_type                        = "FARGATE"
  availability_zone_rebalancing      = "ENABLED"
  enable_execute_command             = false
  health_check_grace_period_seconds  = 60
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  wait_for_steady_state              = true
  propagate_tags                     = "SERVICE"
  tags                               = local.tags

  # A task that does not become ready stops the deployment, and the one before comes back.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = each.value.private_subnets
    security_groups  = [aws_security_group.task[each.key].id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.server[each.key].arn
    container_name   = "server"
    container_port   = var.front.port
  }

  lifecycle {
    ignore_changes = [desired_count] # the scaling below sets it
  }

  depends_on = [aws_lb_listener.https, aws_iam_role_policy.execution]
}

resource "aws_appautoscaling_target" "server" {
  for_each = var.regions

  region             = each.key
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.front[each.key].name}/${aws_ecs_service.server[each.key].name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = each.value.min_tasks
  max_capacity       = each.value.max_tasks
}

# docs/sizing.md: connections and TLS take the CPU, not the decisions. So CPU is what to scale by.
resource "aws_appautoscaling_policy" "cpu" {
  for_each = var.regions

  region             = each.key
  name               = "${var.name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.server[each.key].service_namespace
  resource_id        = aws_appautoscaling_target.server[each.key].resource_id
  scalable_dimension = aws_appautoscaling_target.server[each.key].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 50
    scale_in_cooldown  = 300
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
