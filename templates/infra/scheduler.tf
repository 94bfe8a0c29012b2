# What happens by the clock: a backfill, which is a job on Dataflow, and commands, each in a container of the same image.
# Terraform launches no batch job itself: it would wait for RUNNING, which a short job has passed already.
#
# Cloud Scheduler may deliver twice. Names of jobs are fixed, so that a second launch is refused while the first runs, and
# each command may run twice.

locals {
  launch_uri = "https://dataflow.googleapis.com/v1b3/projects/${var.project}/locations/${var.region}/flexTemplates:launch"

  # A launch as the code writes it: seeds of the store's archive, for the users who wait for them after a publication. What
  # stands here is what only this site knows. Seeds go to the control topic, and whole users to none.
  launch = jsondecode(file("${path.module}/generated/backfill_launch.json")).launchParameter
  backfill = var.backfill == null ? {} : {
    for name, value in merge(local.launch.parameters, local.places, { control_topic = local.live.control_topic }, var.backfill.parameters) :
    name => value if name != "control_topic" || lookup(var.backfill.parameters, "write", "seeds") == "seeds"
  }
  backfill_body = var.backfill == null || !local.has_image ? null : {
    launchParameter = {
      jobName              = "${var.name}-backfill"
      containerSpecGcsPath = "gs://${google_storage_bucket_object.specs["backfill"].bucket}/${google_storage_bucket_object.specs["backfill"].name}"
      parameters           = local.backfill
      environment = merge(
        local.launch.environment,
        local.environment,
        {
          serviceAccountEmail  = local.emails["worker"]
          additionalUserLabels = merge(local.launch.environment.additionalUserLabels, local.labels)
        },
        var.backfill.machine_type == "" ? {} : { machineType = var.backfill.machine_type },
      )
    }
  }

  meanings = {
    STORE         = local.store
    EVENTS        = local.live.events
    CONTROL       = local.live.control
    DEAD_LETTERS  = "pubsub:${local.live.dead_letters}"
    CONTROL_TOPIC = "pubsub:${local.live.control_topic}"
    DEFINITIONS   = local.definitions
  }
}

resource "google_cloud_scheduler_job" "backfill" {
  count = var.backfill == null || !local.has_image ? 0 : 1

  name             = "${var.name}-backfill"
  region           = var.region
  description      = "Launches the backfill"
  schedule         = var.backfill.schedule
  time_zone        = var.backfill.time_zone
  attempt_deadline = "180s"
  depends_on       = [google_project_iam_member.rights, google_service_account_iam_member.rights]

  retry_config {
    retry_count          = 3
    min_backoff_duration = "60s"
    max_backoff_duration = "600s"
  }

  http_target {
    http_method = "POST"
    uri         = local.launch_uri
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode(local.backfill_body))

    oauth_token {
      service_account_email = local.emails["scheduler"]
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }
}

resource "google_cloud_run_v2_job" "commands" {
  for_each = local.has_image ? var.commands : {}

  name                = "${var.name}-${each.key}"
  location            = var.region
  labels              = local.labels
  deletion_protection = false # it holds nothing
  depends_on          = [google_project_service.apis]

  template {
    task_count = 1

    template {
      service_account = local.emails["commands"]
      timeout         = each.value.timeout
      max_retries     = 1

      containers {
        image   = var.image
        command = ["todoke"]
        args    = [for word in each.value.words : lookup(local.meanings, word, word)]

        resources {
          limits = {
            cpu    = "1"
            memory = each.value.memory
          }
        }
      }
    }
  }
}

resource "google_cloud_scheduler_job" "commands" {
  for_each = google_cloud_run_v2_job.commands

  name             = "${var.name}-${each.key}"
  region           = var.region
  description      = "Starts `todoke ${var.commands[each.key].words[0]}`"
  schedule         = var.commands[each.key].schedule
  time_zone        = var.commands[each.key].time_zone
  attempt_deadline = "60s"
  depends_on       = [google_cloud_run_v2_job_iam_member.rights]

  retry_config {
    retry_count          = 3
    min_backoff_duration = "30s"
    max_backoff_duration = "300s"
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${var.project}/locations/${var.region}/jobs/${each.value.name}:run"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode("{}")

    oauth_token {
      service_account_email = local.emails["scheduler"]
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }
}
