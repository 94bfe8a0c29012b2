# The HTTP services, on Cloud Run, of the same image: `collect` takes calls of SDKs and publishes them to the topic that the
# job reads; `engage` is what customers and providers touch (links, unsubscribing, inboxes, webhooks), and publishes
# receipts to the control topic. docs/cloud.md says how to make them, docs/decisions/0085-cloud-run.md why so.

locals {
  # From where a request comes is said by what stands before the service, and each adds one address at the end: Cloud Run
  # the client's, or a load balancer the client's and its own.
  address = ["--address-header=X-Forwarded-For", "--address-hops=${var.ingress == "internet" ? 1 : 2}"]
  way_in  = var.ingress == "internet" ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"

  engage_args = concat(
    [
      "--sink=pubsub:${local.live.control_topic}",
      "--store=${local.store}",
      "--definitions=${local.definitions}",
    ],
    local.address,
    [for topic in google_pubsub_topic.touches : "--touches=pubsub:projects/${var.project}/topics/${topic.name}"],
    var.engage == null ? [] : var.engage.keys == "" ? [] : ["--keys=/keys/keys.json"],
  )
  engage_variables = var.engage == null ? {} : merge(
    var.engage.url == "" ? {} : { TODOKE_LINKS_URL = var.engage.url },
    var.engage.variables,
  )

  services = merge(
    {
      for said in local.has_image && var.collect != null ? [var.collect] : [] : "collect" => {
        said    = said
        account = "collect"
        ingress = local.way_in
        args = concat(
          [
            "collect",
            "--sink=pubsub:projects/${var.project}/topics/${google_pubsub_topic.events.name}",
            "--dead-letters=pubsub:${local.live.dead_letters}",
            "--keys=/keys/keys.json",
            "--ordering",
          ],
          local.address,
          said.address_rate == null ? [] : ["--address-rate=${said.address_rate}"],
          said.announcements ? ["--definitions=${local.definitions}"] : [],
        )
        variables = {}
        secrets   = {}
      }
    },
    {
      for said in local.has_image && var.engage != null ? [var.engage] : [] : "engage" => {
        said      = said
        account   = "engage"
        ingress   = local.way_in
        args      = concat(["engage"], local.engage_args)
        variables = local.engage_variables
        secrets   = said.secrets
      }
    },
    # Opens and clicks of one message are judged together, so that one process must have them all: nobody asks it.
    {
      for said in local.has_image && var.engage != null ? [var.engage] : [] : "judge" => {
        said    = merge(said, { min_instances = 1, max_instances = 1, domain = "" })
        account = "engage"
        ingress = "INGRESS_TRAFFIC_INTERNAL_ONLY"
        args = concat(["engage"], local.engage_args, [
          for waiting in google_pubsub_subscription.touches :
          "--judge=pubsub:projects/${var.project}/subscriptions/${waiting.name}"
        ])
        variables = local.engage_variables
        secrets   = said.secrets
      }
    },
  )
}

# Opens and clicks wait here for their verdict (docs/how-to/links.md).
resource "google_pubsub_topic" "touches" {
  count = var.engage == null ? 0 : 1

  name       = "${var.name}-touches"
  labels     = local.labels
  depends_on = [google_project_service.apis]
}

resource "google_pubsub_subscription" "touches" {
  count = length(google_pubsub_topic.touches)

  name   = "${var.name}-touches"
  topic  = google_pubsub_topic.touches[count.index].name
  labels = local.labels

  # The judge holds a touch for ten seconds, and never extends a lease; a minute at least is what it asks for.
  ack_deadline_seconds         = 120
  enable_message_ordering      = false
  enable_exactly_once_delivery = false
  message_retention_duration   = "604800s"

  expiration_policy {
    ttl = ""
  }
}

resource "google_cloud_run_v2_service" "services" {
  for_each = local.services

  name                = "${var.name}-${each.key}"
  location            = var.region
  labels              = local.labels
  deletion_protection = false # it holds nothing
  ingress             = each.value.ingress

  # Anybody may ask: phones and mail readers have no accounts with Google. Who asks is proved by keys and tokens inside.
  # This is said here, and not by a right for `allUsers`, which organisations often forbid.
  invoker_iam_disabled = true

  template {
    service_account                  = local.emails[each.value.account]
    timeout                          = "30s"
    max_instance_request_concurrency = each.value.said.concurrency

    scaling {
      min_instance_count = each.value.said.min_instances
      max_instance_count = each.value.said.max_instances
    }

    containers {
      image = var.image
      args  = concat(["serve"], each.value.args)

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
        for_each = each.value.said.keys == "" ? [] : ["keys"]
        content {
          name       = volume_mounts.value
          mount_path = "/keys"
        }
      }
    }

    dynamic "volumes" {
      for_each = each.value.said.keys == "" ? [] : ["keys"]
      content {
        name = volumes.value
        secret {
          secret = split("@", each.value.said.keys)[0]
          items {
            path    = "keys.json"
            version = try(split("@", each.value.said.keys)[1], "latest")
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
  filter      = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(${join(" OR ", [for name in concat(keys(local.service_accounts), var.engage == null ? [] : ["judge"]) : "\"${var.name}-${name}\""])}) AND logName=\"projects/${var.project}/logs/run.googleapis.com%2Frequests\""
  depends_on  = [google_project_service.apis]
}
