output "repository" {
  description = "Where the image is pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "store" {
  description = "For `--store`."
  value       = local.store
}

output "definitions" {
  description = "The pointer that `todoke publish --to` writes and the job follows."
  value       = local.definitions
}

output "places" {
  description = "For `--events`, `--control`, `--control-topic` and `--dead-letters`."
  value       = local.live
}

output "work" {
  description = "For `--staging`: what jobs that are launched by hand write for themselves."
  value       = "gs://${google_storage_bucket.work.name}"
}

output "events_topic" {
  description = "Where events are published."
  value       = "pubsub:projects/${var.project}/topics/${google_pubsub_topic.events.name}"
}

output "services" {
  description = "Where collect and engage answer."
  value       = { for name, service in google_cloud_run_v2_service.services : name => service.uri }
}

output "templates" {
  description = "The specs, for launches by hand."
  value       = { for name, object in google_storage_bucket_object.specs : name => "gs://${object.bucket}/${object.name}" }
}

output "accounts" {
  description = "Who does what. `worker` is for `--service-account`."
  value       = local.emails
}

output "rights" {
  description = "Every right that is given, and why."
  value       = local.rights
}
