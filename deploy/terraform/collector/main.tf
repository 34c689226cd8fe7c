locals {
  # What names an instance and its version, in the attributes that the detector of each platform sets.
  platforms = {
    cloud-run = { detector = "gcp", instance = "faas.instance", revision = "faas.version" }
    ecs       = { detector = "ecs", instance = "aws.ecs.task.arn", revision = "aws.ecs.task.revision" }
  }

  config = templatefile("${path.module}/collector.yaml.tftpl", merge(local.platforms[var.platform], {
    admin_port   = var.admin_port
    interval     = var.interval_seconds
    memory_mib   = var.memory_mib
    region       = var.region
    write_url    = var.remote_write.url
    write_region = var.remote_write.region
  }))
}
