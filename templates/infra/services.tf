# The HTTP services, on Cloud Run, of the same image: `collect` takes calls of SDKs and publishes them to the topic that the
# job reads; `engage` is what customers and providers touch (links, unsubscribing, inboxes, webhooks), and publishes
# receipts to the control topic. docs/cloud.md says how to make them, docs/decisions/0085-cloud-run.md why so.

locals {
  services = merge(
    var.collect == null || !local.has_image ? {} : {
      collect = {
        said = var.collect
        args = concat(
          [
            "--sink=pubsub:projects/${var.project}/topics/${google_pubsub_topic.events.name}",
            "--dead-letters=pubsub:${local.live.dead_letters}",
            "--keys=/keys/keys.json",
            "--ordering",
            "--address-header=X-Forwarded-For",
            "--address-hops=${local.hops}",
          ],
          var.collect.address_rate == null ? [] : ["--address-rate=${var.collect.address_rate}"],
          var.collect.announcements ? ["--definitions=${local.definitions}"] : [],
        )
        keys      = var.collect.keys
        variables = {}
        secrets   = {}
      }
    },
    var.engage == null || !local.has_image ? {} : {
      engage = {
        said = var.engage
        args = concat(
          [
            "--control-topic=pubsub:${local.live.control_topic}",
            "--store=${local.store}",
            "--definitions=${local.definitions}",
          ],
          var.engage.keys == "" ? [] : ["--keys=/keys/keys.json"],
        )
        keys      = var.engage.keys
        variables = merge(var.engage.url == "" ? {} : { TODOKE_LINKS_URL = var.engage.url }, var.engage.variables)
        secrets   = var.engage.secrets
      }
    },
  )

  # From where a request comes is said by what stands before the service, and each adds one address at the end: Cloud Run
  # the client's, or a load balancer the client's and its own.
  hops = var.ingress == "internet" ? 1 : 2
}

resource "google_cloud_run_v2_service" "services" {
  for_each = local.services

  name                = "${var.name}-${each.key}"
  location            = var.region
  labels              = local.labels
  deletion_protection = false # it holds nothing
  ingress             = var.ingress == "internet" ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"

  # Anybody may ask: phones and mail readers have no accounts with Google. Who asks is proved by keys and tokens inside.
  # This is said here, and not by a right for `allUsers`, which organisations often forbid.
  invoker_iam_disabled = true

  template {
    service_account                  = local.emails[each.key]
    timeout                          = "30s"
    max_instance_request_concurrency = each.value.said.concurrency

    scaling {
      min_instance_count = each.value.said.min_instances
      max_instance_count = each.value.said.max_instances
    }

    containers {
      image = var.image
      args  = concat(["serve", each.key], each.value.args)

      resources {
        limits = {
          cpu    = each.value.said.cpu
          memory = each.value.said.memory
        }
        # Definitions and keys are looked at again between requests, and clicks are judged after they were answered.
        cpu_idle          = false
        startup_cpu_boost = true
      }

      ports {
        container_port = 8080
      }

      # Whether the process lives. Whether its broker does is `/ready`: an instance that is started again while the broker
      # is away would only not answer 503 with Retry-After meanwhile, which is what SDKs understand.
      startup_probe {
        http_get { path = "/live" }
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 30
      }
      liveness_probe {
        http_get { path = "/live" }
        period_seconds    = 10
        timeout_seconds   = 5
        failure_threshold = 3
      }

      dynamic "env" {
        for_each = each.value.variables
        content {
          name  = env.key
          value = env.value
        }
      }

      # By its name, which the service reads when an instance starts. So no value is ever part of a revision.
      dynamic "env" {
        for_each = each.value.secrets
        content {
          name  = env.key
          value = "sm:projects/${var.project}/secrets/${split("@", env.value)[0]}/versions/${try(split("@", env.value)[1], "latest")}"
        }
      }

      dynamic "volume_mounts" {
        for_each = each.value.keys == "" ? [] : ["keys"]
        content {
          name       = volume_mounts.value
          mount_path = "/keys"
        }
      }
    }

    dynamic "volumes" {
      for_each = each.value.keys == "" ? [] : ["keys"]
      content {
        name = volumes.value
        secret {
          secret = split("@", each.value.keys)[0]
          items {
            path    = "keys.json"
            version = try(split("@", each.value.keys)[1], "latest")
          }
        }
      }
    }
  }

  # A deployment asks whether the account may read each secret. No request comes before what keeps it from the log.
  depends_on = [
    google_logging_project_exclusion.requests,
    google_artifact_registry_repository_iam_member.rights,
    google_bigtable_instance_iam_member.rights,
    google_bigtable_table_iam_member.rights,
    google_pubsub_topic_iam_member.rights,
    google_secret_manager_secret_iam_member.rights,
    google_storage_bucket_iam_member.rights,
  ]
}

# A name of yours by Cloud Run's own mapping. It is for regions that have it, and for small sites: Google says that it can
# be slow (https://cloud.google.com/run/docs/issues). Else put a load balancer before it, and say so in `ingress`.
resource "google_cloud_run_domain_mapping" "names" {
  for_each = { for name, service in local.services : name => service.said.domain if service.said.domain != "" }

  name     = each.value
  location = var.region

  spec {
    route_name = google_cloud_run_v2_service.services[each.key].name
  }
}

# Cloud Run logs each request with its address and whole URL, in which tokens, write keys and, of pixels, calls stand. The
# services themselves log nothing of anybody. What is counted of requests is not taken from these logs.
resource "google_logging_project_exclusion" "requests" {
  count = var.collect == null && var.engage == null ? 0 : 1

  name        = "${var.name}-requests"
  description = "Requests of collect and engage: their URLs are of people"
  filter      = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(${join(" OR ", [for who in keys(local.service_accounts) : "\"${var.name}-${who}\""])}) AND logName=\"projects/${var.project}/logs/run.googleapis.com%2Frequests\""
  depends_on  = [google_project_service.apis]
}
