output "config" {
  description = "The collector's config, in YAML."
  value       = local.config
}
