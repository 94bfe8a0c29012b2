# What everything else here goes by. Names are put together here, where Google would only say them after the apply: so a
# plan shows what each thing will be told.

locals {
  labels      = merge(var.labels, { app = var.name })
  bigtable    = jsondecode(file("${path.module}/generated/bigtable.json"))
  store       = "bigtable:${var.project}/${google_bigtable_instance.store.name}"
  definitions = coalesce(var.definitions, "gs://${google_storage_bucket.site.name}/definitions/live.json")
  # Before the first image there is nothing that could run.
  has_image = var.image != ""

  # What the jobs and commands are told of what is here. The keys are parameters of both templates.
  places = {
    definitions = local.definitions
    store       = local.store
  }
  live = {
    events        = "projects/${var.project}/subscriptions/${google_pubsub_subscription.events.name}"
    control       = "projects/${var.project}/subscriptions/${google_pubsub_subscription.control.name}"
    control_topic = "projects/${var.project}/topics/${google_pubsub_topic.control.name}"
    dead_letters  = "projects/${var.project}/topics/${google_pubsub_topic.dead_letters.name}"
  }

  apis = toset(concat(local.bigquery_apis, [
    "artifactregistry.googleapis.com",
    "bigtable.googleapis.com",
    "bigtableadmin.googleapis.com",
    "cloudresourcemanager.googleapis.com", # rights of the project are given through it
    "cloudscheduler.googleapis.com",
    "compute.googleapis.com", # workers are machines of Compute Engine
    "dataflow.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
  ]))
  bigquery_apis = var.bigquery == null ? [] : ["bigquery.googleapis.com", "bigquerystorage.googleapis.com"]
}

resource "google_project_service" "apis" {
  for_each = local.apis

  service            = each.value
  disable_on_destroy = false # others in the project may use it
}
