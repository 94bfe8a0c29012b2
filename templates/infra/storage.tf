# Two buckets and a registry for the image.

# What the site owns: definitions and their pointer, templates, histories for backfills.
resource "google_storage_bucket" "site" {
  name                        = "${var.project}-${var.name}-site"
  location                    = var.region
  labels                      = local.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection
  depends_on                  = [google_project_service.apis]

  versioning {
    enabled = true # a pointer that was overwritten is the way back to the definitions before
  }

  lifecycle_rule {
    action { type = "Delete" }
    condition { days_since_noncurrent_time = 90 }
  }
}

# What Dataflow writes for itself.
resource "google_storage_bucket" "work" {
  name                        = "${var.project}-${var.name}-work"
  location                    = var.region
  labels                      = local.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection
  depends_on                  = [google_project_service.apis]

  soft_delete_policy {
    retention_duration_seconds = 0 # else each temporary file is paid for a week longer
  }

  # Under staging/ is what workers of a running job read when they start, however old the job is. It must stay.
  lifecycle_rule {
    action { type = "Delete" }
    condition {
      age            = 14
      matches_prefix = ["temp/"]
    }
  }
}

resource "google_artifact_registry_repository" "images" {
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "The image of Todoke's launcher and workers"
  labels        = local.labels
  depends_on    = [google_project_service.apis]

  docker_config {
    immutable_tags = true
  }

  # Only what has no tag goes: workers that are added to an old job pull its image again.
  cleanup_policies {
    id     = "untagged"
    action = "DELETE"
    condition {
      tag_state  = "UNTAGGED"
      older_than = "7776000s"
    }
  }
}

# The specs, with the image by digest, and on what and where jobs run where a launch says nothing else. A file's name has the
# hash of what it says, so that a change updates the job; old files stay, for a way back.
locals {
  generated = {
    realtime = jsondecode(file("${path.module}/generated/realtime.json"))
    backfill = jsondecode(file("${path.module}/generated/backfill.json"))
  }
  network = var.subnetwork == "" ? {} : { subnetwork = var.subnetwork, ipConfiguration = "WORKER_IP_PRIVATE" }
  environment = merge(local.network, {
    sdkContainerImage = var.image # the package is in no image of Beam's
    stagingLocation   = "gs://${google_storage_bucket.work.name}/staging"
    tempLocation      = "gs://${google_storage_bucket.work.name}/temp"
  })
  machines = {
    realtime = {
      machineType = var.job.machine_type
      numWorkers  = var.job.workers
      maxWorkers  = var.job.max_workers
    }
    backfill = {}
  }
  specs = {
    for template, spec in local.generated : template => jsonencode(merge(spec, {
      image              = var.image
      defaultEnvironment = merge(spec.defaultEnvironment, local.environment, local.machines[template])
    }))
  }
}

resource "google_storage_bucket_object" "specs" {
  for_each = local.has_image ? local.specs : {}

  bucket       = google_storage_bucket.site.name
  name         = "templates/${each.key}-${substr(sha256(each.value), 0, 12)}.json"
  content      = each.value
  content_type = "application/json"

  deletion_policy = "ABANDON"
}
