resource "aws_security_group" "balancer" {
  for_each = var.regions

  region      = each.key
  name        = "${var.name}-balancer"
  description = "The load balancer of ${var.name}: open to clients"
  vpc_id      = each.value.vpc_id
  tags        = local.tags
}

locals {
  open = { for o in setproduct(keys(var.regions), ["80", "443"], ["ipv4", "ipv6"]) : join("/", o) => { region = o[0], port = tonumber(o[1]), family = o[2] } }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = local.open

  region            = each.value.region
  security_group_id = aws_security_group.balancer[each.value.region].id
  description       = "clients"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = each.value.family == "ipv4" ? "0.0.0.0/0" : null
  cidr_ipv6         = each.value.family == "ipv6" ? "::/0" : null
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "to_tasks" {
  for_each = var.regions

  region                       = each.key
  security_group_id            = aws_security_group.balancer[each.key].id
  description                  = "to the tasks"
  ip_protocol                  = "tcp"
  from_port                    = var.front.port
  to_port                      = var.front.port
  referenced_security_group_id = aws_security_group.task[each.key].id
  tags                         = local.tags
}

resource "aws_security_group" "task" {
  for_each = var.regions

  region      = each.key
  name        = "${var.name}-task"
  description = "The tasks of ${var.name}: reached by the load balancer only"
  vpc_id      = each.value.vpc_id
  tags        = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "from_balancer" {
  for_each = var.regions

  region                       = each.key
  security_group_id            = aws_security_group.task[each.key].id
  description                  = "from the load balancer"
  ip_protocol                  = "tcp"
  from_port                    = var.front.port
  to_port                      = var.front.port
  referenced_security_group_id = aws_security_group.balancer[each.key].id
  tags                         = local.tags
}

# Feeds, inventories, probes of stores and upstreams, images, logs, metrics.
resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = { for o in setproduct(keys(var.regions), ["ipv4", "ipv6"]) : join("/", o) => { region = o[0], family = o[1] } }

  region            = each.value.region
  security_group_id = aws_security_group.task[each.value.region].id
  description       = "HTTPS to anywhere"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.value.family == "ipv4" ? "0.0.0.0/0" : null
  cidr_ipv6         = each.value.family == "ipv6" ? "::/0" : null
  tags              = local.tags
}
