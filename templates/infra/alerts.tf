# What somebody must look at, each with the page that says what to do.

locals {
  job      = "resource.type = \"dataflow_job\" AND resource.labels.job_name = \"${var.name}-realtime\""
  events   = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.events.name}\""
  control  = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.control.name}\""
  letters  = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.dead_letters.name}\""
  cluster  = "resource.type = \"bigtable_cluster\" AND resource.labels.instance = \"${google_bigtable_instance.store.name}\""
  commands = "resource.type = \"cloud_run_job\" AND resource.labels.job_name = starts_with(\"${var.name}-\")"

  # Conditions above a threshold for a time. `worst` is how series are brought together over time and among each other.
  thresholds = merge(length(local.service_accounts) == 0 ? {} : {
    services = {
      title  = "Collect or engage fails"
      filter = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = starts_with(\"${var.name}-\") AND metric.type = \"run.googleapis.com/request_count\" AND metric.labels.response_code_class = \"5xx\""
      above  = var.alerts.refused
      for    = "300s"
      worst  = "ALIGN_DELTA"
      page   = "how-to/services-on-cloud-run"
      text   = "More than ${var.alerts.refused} requests in five minutes were answered with 5xx. 503 is said where Pub/Sub or the store is away: senders send again."
    }
    }, {
    lag = {
      title  = "The job is behind"
      filter = "${local.job} AND metric.type = \"dataflow.googleapis.com/job/system_lag\""
      above  = var.alerts.lag
      for    = "300s"
      worst  = "ALIGN_MAX"
      page   = "operations/falls-behind"
      text   = "The oldest message in the job waits for more than ${var.alerts.lag} s. Look at the step with the lag, at the store's CPU, and whether workers are at their maximum."
    }
    freshness = {
      title  = "What the job knows is old"
      filter = "${local.job} AND metric.type = \"dataflow.googleapis.com/job/data_watermark_age\""
      above  = var.alerts.freshness
      for    = "300s"
      worst  = "ALIGN_MAX"
      page   = "operations/falls-behind"
      text   = "The job's watermark is more than ${var.alerts.freshness} s old: users change late, and sends expire."
    }
    failed = {
      title  = "The job failed"
      filter = "${local.job} AND metric.type = \"dataflow.googleapis.com/job/is_failed\""
      above  = 0
      for    = "0s"
      worst  = "ALIGN_MAX"
      page   = "operations/job-died"
      text   = "Launch it again, wake the users, and sweep."
    }
    unacked = {
      title  = "Events wait to be read"
      filter = "${local.events} AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      above  = var.alerts.unacked
      for    = "300s"
      worst  = "ALIGN_MAX"
      page   = "operations/falls-behind"
      text   = "The oldest event that nobody acknowledged is more than ${var.alerts.unacked} s old. Does the job run?"
    }
    unacked_control = {
      title  = "What goes back to users waits to be read"
      filter = "${local.control} AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      above  = var.alerts.unacked
      for    = "300s"
      worst  = "ALIGN_MAX"
      page   = "operations/falls-behind"
      text   = "Receipts, wakes or seeds wait for more than ${var.alerts.unacked} s."
    }
    dead_letters = {
      title  = "Dead letters"
      filter = "${local.letters} AND metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      above  = var.alerts.dead_letters
      for    = "0s"
      worst  = "ALIGN_MAX"
      page   = "operations/dead-letters"
      text   = "More than ${var.alerts.dead_letters} messages could not be read or applied. `todoke dead-letters` says why. Pull the subscription to empty it."
    }
    cpu = {
      title  = "Bigtable is busy"
      filter = "${local.cluster} AND metric.type = \"bigtable.googleapis.com/cluster/cpu_load\""
      above  = var.alerts.cpu
      for    = "600s"
      worst  = "ALIGN_MEAN"
      page   = "operations/store-refuses"
      text   = "The cluster's CPU is above ${var.alerts.cpu * 100} %: is `max_nodes` reached?"
    }
    hot_node = {
      title  = "A node of Bigtable is hot"
      filter = "${local.cluster} AND metric.type = \"bigtable.googleapis.com/cluster/cpu_load_hottest_node\""
      above  = var.alerts.hot_node_cpu
      for    = "1800s"
      worst  = "ALIGN_MEAN"
      page   = "operations/hot-ids"
      text   = "One node has more than its share: keys that many write. Key Visualizer shows which."
    }
    storage = {
      title  = "Bigtable is full"
      filter = "${local.cluster} AND metric.type = \"bigtable.googleapis.com/cluster/storage_utilization\""
      above  = var.alerts.storage
      for    = "600s"
      worst  = "ALIGN_MAX"
      page   = "operations/store-refuses"
      text   = "Disks are ${var.alerts.storage * 100} % full: more nodes, or `archive_days`."
    }
    errors = {
      title  = "The job logs errors"
      filter = "resource.type = \"dataflow_job\" AND metric.type = \"logging.googleapis.com/user/${google_logging_metric.errors.name}\""
      above  = var.alerts.errors
      for    = "0s"
      worst  = "ALIGN_DELTA"
      page   = "operations/faults"
      text   = "More than ${var.alerts.errors} errors in five minutes: a bundle that fails again and again, or a fault of Todoke."
    }
    command_failed = {
      title  = "A command by the clock failed"
      filter = "${local.commands} AND metric.type = \"run.googleapis.com/job/completed_execution_count\" AND metric.labels.result = \"failed\""
      above  = 0
      for    = "0s"
      worst  = "ALIGN_DELTA"
      page   = "cloud"
      text   = "Its log says why: `sweep` or `report` failed, or `doctor` found something."
    }
    not_started = {
      title  = "Cloud Scheduler could not start something"
      filter = "resource.type = \"cloud_scheduler_job\" AND metric.type = \"logging.googleapis.com/user/${google_logging_metric.not_started.name}\""
      above  = 0
      for    = "0s"
      worst  = "ALIGN_DELTA"
      page   = "cloud"
      text   = "A launch or a command was refused. While the backfill of yesterday still runs, that is how it should be: its name is taken."
    }
  })
}

resource "google_logging_metric" "errors" {
  name        = "${var.name}-errors"
  description = "Errors in the log of the realtime job's workers"
  filter      = "resource.type=\"dataflow_step\" AND resource.labels.job_name=\"${var.name}-realtime\" AND severity>=ERROR"
  depends_on  = [google_project_service.apis]

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

resource "google_logging_metric" "not_started" {
  name        = "${var.name}-not-started"
  description = "What Cloud Scheduler could not start"
  filter      = "resource.type=\"cloud_scheduler_job\" AND resource.labels.job_id=~\"^${var.name}-\" AND severity>=ERROR"
  depends_on  = [google_project_service.apis]

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

# `push refuses: connect: …` and the like, once a minute and channel, by channel.
resource "google_logging_metric" "refusals" {
  name        = "${var.name}-refusals"
  description = "Minutes in which a provider refused sends, by channel"
  filter      = "resource.type=\"dataflow_step\" AND resource.labels.job_name=\"${var.name}-realtime\" AND severity=WARNING AND jsonPayload.message=~\"^[a-z]+ refuses: \""
  depends_on  = [google_project_service.apis]

  label_extractors = {
    channel = "REGEXP_EXTRACT(jsonPayload.message, \"^([a-z]+) refuses: \")"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    labels {
      key        = "channel"
      value_type = "STRING"
    }
  }
}

resource "google_monitoring_alert_policy" "thresholds" {
  for_each = local.thresholds

  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  notification_channels = var.notify
  user_labels           = local.labels

  conditions {
    display_name = each.value.title

    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.above
      duration        = each.value.for

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = each.value.worst
        cross_series_reducer = "REDUCE_MAX"
      }
    }
  }

  documentation {
    content   = "${each.value.text}\n\nMore: docs/${each.value.page}.md"
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_alert_policy" "refusals" {
  display_name          = "${var.name}: A provider refuses sends"
  combiner              = "OR"
  notification_channels = var.notify
  user_labels           = local.labels

  conditions {
    display_name = "A provider refuses sends for 15 minutes"

    condition_threshold {
      filter          = "metric.type = \"logging.googleapis.com/user/${google_logging_metric.refusals.name}\" AND resource.type = \"dataflow_job\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "900s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["metric.label.channel"]
      }
    }
  }

  documentation {
    content   = "The sends wait, and expire in the end. The job's log has the reason.\n\nMore: docs/operations/provider-down.md"
    mime_type = "text/markdown"
  }
}

# A job that is gone says nothing, so its silence is the sign.
resource "google_monitoring_alert_policy" "missing" {
  count = length(google_dataflow_flex_template_job.realtime)

  display_name          = "${var.name}: No job runs"
  combiner              = "OR"
  notification_channels = var.notify
  user_labels           = local.labels

  conditions {
    display_name = "No job of that name says how far it is"

    condition_absent {
      filter   = "${local.job} AND metric.type = \"dataflow.googleapis.com/job/system_lag\""
      duration = "${var.alerts.missing}s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_MAX"
        cross_series_reducer = "REDUCE_MAX"
      }
    }
  }

  documentation {
    content   = "Launch it again, wake the users, and sweep.\n\nMore: docs/operations/job-died.md"
    mime_type = "text/markdown"
  }
}
