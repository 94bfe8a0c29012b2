# The realtime job, by its flex template.
#
# Parameters, labels, the image and `definitions` are updated over the running job, which keeps its state. Name, region,
# machine, workers and Streaming Engine are not: then the old job is drained and a new one launched, whose users must be
# woken (`todoke wake`). docs/cloud.md says how each is done.

locals {
  # Where each secret lies. TODOKE_SECRET_… are for templates of webhooks, which share one parameter; each other variable
  # has its own: TODOKE_SMTP_PASSWORD is smtp_password_secret.
  versions  = { for variable, id in var.secrets : variable => "projects/${var.project}/secrets/${id}/versions/latest" }
  templates = [for variable, at in local.versions : "${trimprefix(variable, "TODOKE_SECRET_")}=${at}" if startswith(variable, "TODOKE_SECRET_")]
  secrets = merge(
    length(local.templates) == 0 ? {} : { secrets = join(",", local.templates) },
    {
      for variable, at in local.versions :
      "${trimsuffix(lower(trimprefix(variable, "TODOKE_")), "_secret")}_secret" => at if !startswith(variable, "TODOKE_SECRET_")
    },
  )
  parameters = merge({ job = "realtime" }, local.places, local.live, local.secrets, var.parameters)
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

  service_account_email   = local.emails["worker"]
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
