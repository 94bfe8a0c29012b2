# The realtime job, by its flex template.
#
# Parameters, labels, the image and `definitions` are updated over the running job, which keeps its state. Name, region,
# machine, workers and Streaming Engine are not: then the old job is drained and a new one launched, whose users must be
# woken (`todoke wake`). docs/cloud.md says how each is done.

locals {
  secrets = join(",", [for variable, id in var.secrets : "${variable}=projects/${var.project}/secrets/${id}/versions/latest"])
  # An empty parameter would reach the job as a flag without a value.
  parameters = merge(local.places, local.live, local.secrets == "" ? {} : { secrets = local.secrets }, var.parameters)
  subnetwork = var.subnetwork == "" ? null : var.subnetwork
  private    = var.subnetwork == "" ? null : "WORKER_IP_PRIVATE"
}

resource "google_dataflow_flex_template_job" "realtime" {
  provider = google-beta
  count    = local.has_image && var.job.run ? 1 : 0

  name                    = "${var.name}-realtime"
  region                  = var.region
  container_spec_gcs_path = "gs://${google_storage_bucket_object.specs["realtime"].bucket}/${google_storage_bucket_object.specs["realtime"].name}"
  parameters              = local.parameters
  labels                  = local.labels

  # A cancelled job takes with it what lies between its steps. `terraform destroy` and replacements drain.
  on_delete                    = "drain"
  skip_wait_on_job_termination = false

  service_account_email   = google_service_account.accounts["worker"].email
  sdk_container_image     = var.image # the package is in no image of Beam's
  enable_streaming_engine = true
  machine_type            = var.job.machine_type
  num_workers             = var.job.workers
  max_workers             = var.job.max_workers
  autoscaling_algorithm   = "THROUGHPUT_BASED"
  staging_location        = "gs://${google_storage_bucket.work.name}/staging"
  temp_location           = "gs://${google_storage_bucket.work.name}/temp"
  subnetwork              = local.subnetwork
  ip_configuration        = local.private

  # Rights come late in Google Cloud; a launch without them fails.
  depends_on = [
    google_artifact_registry_repository_iam_member.rights,
    google_bigtable_gc_policy.rules,
    google_bigtable_instance_iam_member.rights,
    google_project_iam_member.push,
    google_project_iam_member.rights,
    google_pubsub_subscription_iam_member.rights,
    google_pubsub_topic_iam_member.rights,
    google_secret_manager_secret_iam_member.rights,
    google_storage_bucket_iam_member.rights,
  ]
}
