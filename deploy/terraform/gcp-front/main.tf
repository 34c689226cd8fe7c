locals {
  # The load balancer appends the client's address and its own to X-Forwarded-For. `client.behind` of the config must say
  # so: with another preset, clients could choose their own address.
  behind = "google-lb"

  hosts  = toset(var.front.names[*].host)
  labels = merge(var.labels, { app = var.name })
}

check "a_second_region" {
  assert {
    condition     = length(var.regions) > 1
    error_message = "There is one region. When it fails, the load balancer answers \"no healthy upstream\". Add a second region before this front serves production."
  }
}

check "somebody_is_told" {
  assert {
    condition     = length(var.uptime.channels) > 0
    error_message = "uptime.channels is empty: the alert fires, and tells nobody."
  }
}
