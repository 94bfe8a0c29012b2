# The realtime job, by its flex template.
#
# What the template says is updated over the running job, which keeps its state: the image, machine, workers, network; and
# so are parameters and labels. A change of name, region or Streaming Engine drains the job and launches a new one, whose
# users must be woken (`todoke wake`). docs/cloud.md says how each is done.
#
# Machine, workers, places, network and image stand in the template's own defaults (storage.tf), and not here. The provider
# looks for them among the options of the running job under the names that they have in Java, finds none of a job in Python,
# and would change the job back at each apply, or replace it for its numbers of workers:
# https://github.com/hashicorp/terraform-provider-google/issues/21322

locals {
  # Where each secret lies. TODOKE_SECRET_… are for templates of webhooks, which share one parameter; each other variable
  # has its own: TODOKE_SMTP_PASSWORD is smtp_password_secret.
  versions = {
    for variable, at in var.secrets : variable =>
    "projects/${var.project}/secrets/${split("@", at)[0]}/versions/${try(split("@", at)[1], "latest")}"
  }
  templates = [for variable, at in local.versions : "${trimprefix(variable, "TODOKE_SECRET_")}=${at}" if startswith(variable, "TODOKE_SECRET_")]
  secrets = merge(
    length(local.templates) == 0 ? {} : { secrets = join(",", local.templates) },
    {
      for variable, at in local.versions :
      "${trimsuffix(lower(trimprefix(variable, "TODOKE_")), "_secret")}_secret" => at if !startswith(variable, "TODOKE_SECRET_")
    },
  )
  reading    = var.read == "beam" ? {} : { read = var.read }
  links      = var.engage == null ? {} : var.engage.url == "" ? {} : { links_url = var.engage.url }
  parameters = merge({ job = "realtime" }, local.places, local.live, local.secrets, local.reading, local.links, var.parameters)
}

resource "google_dataflow_flex_template_job" "realtime" {
  provider = google-beta
  count    = local.has_image && var.job.run ? 1 : 0

  name                    = "${var.name}-realtime"
  region                  = var.region
  container_spec_gcs_path = "gs://${google_storage_bucket_object.specs["realtime"].bucket}/${google_storage_bucket_object.specs["realtime"].name}"
  parameters              = local.parameters
  labels                  = local.labels

  # A cancelled job takes with it what lies between its steps. `terraform destroy` and replacements drain. Under accounted
  # reading a drain would never end, since the readers go on, and nothing is lost: what is not yet done comes again.
  on_delete                    = var.read == "accounted" ? "cancel" : "drain"
  skip_wait_on_job_termination = false

  service_account_email   = local.emails["worker"]
  enable_streaming_engine = true

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
