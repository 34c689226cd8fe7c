locals {
  # The load balancer appends the client's address to X-Forwarded-For. `client.behind` of the config must say so: with
  # another preset, clients could choose their own address.
  behind = "aws-alb"

  hosts = var.front.names[*].host
  tags  = merge(var.tags, { app = var.name })

  # The load balancer closes an idle connection after this, and the server must not be first.
  idle_seconds = 60

  # What reaches a task after it left is answered: its drain begins when it leaves.
  leave_seconds = var.front.drain_seconds + 10
}

data "aws_partition" "current" {}
