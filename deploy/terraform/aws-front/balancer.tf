resource "aws_lb" "front" {
  for_each = var.regions

  region                     = each.key
  name                       = var.name
  internal                   = false
  load_balancer_type         = "application"
  ip_address_type            = "dualstack"
  subnets                    = each.value.public_subnets
  security_groups            = [aws_security_group.balancer[each.key].id]
  idle_timeout               = local.idle_seconds
  xff_header_processing_mode = "append" # the preset aws-alb takes the last entry
  preserve_host_header       = true     # the server tells its names apart
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
  tags                       = local.tags

  dynamic "access_logs" {
    for_each = each.value.access_logs == null ? [] : [each.value.access_logs]
    content {
      bucket  = access_logs.value
      prefix  = var.name
      enabled = true
    }
  }
}

resource "aws_lb_target_group" "server" {
  for_each = var.regions

  region               = each.key
  name                 = var.name
  target_type          = "ip"
  vpc_id               = each.value.vpc_id
  port                 = var.front.port
  protocol             = "HTTP"
  protocol_version     = "HTTP1"
  deregistration_delay = local.leave_seconds
  tags                 = local.tags

  # It fails while a server drains, and never because upstreams or stores fail: otherwise all regions would leave
  # together.
  health_check {
    path                = var.front.ready
    port                = "traffic-port"
    protocol            = "HTTP"
    matcher             = "200"
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  # With no healthy task the region leaves DNS.
  target_group_health {
    dns_failover {
      minimum_healthy_targets_count = "1"
    }
  }
}

resource "aws_lb_listener" "https" {
  for_each = var.regions

  region            = each.key
  load_balancer_arn = aws_lb.front[each.key].arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = var.tls_policy
  certificate_arn   = aws_acm_certificate_validation.hosts[each.key].certificate_arn
  tags              = local.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.server[each.key].arn
  }
}

resource "aws_lb_listener" "redirect" {
  for_each = var.regions

  region            = each.key
  load_balancer_arn = aws_lb.front[each.key].arn
  port              = 80
  protocol          = "HTTP"
  tags              = local.tags

  default_action {
    type = "redirect"

    redirect {
      protocol    = "HTTPS"
      port        = "443"
      status_code = "HTTP_301"
    }
  }
}
