# Events come in by one topic. What goes back to users (receipts, wakes, seeds) comes by the control topic. Messages that
# cannot be read or applied go to the topic of dead letters.

resource "google_pubsub_topic" "events" {
  name       = "${var.name}-events"
  labels     = local.labels
  depends_on = [google_project_service.apis]
}

resource "google_pubsub_topic" "control" {
  name       = "${var.name}-control"
  labels     = local.labels
  depends_on = [google_project_service.apis]
}

resource "google_pubsub_topic" "dead_letters" {
  name       = "${var.name}-dead-letters"
  labels     = local.labels
  depends_on = [google_project_service.apis]
}

resource "google_pubsub_topic" "undelivered" {
  count = var.undelivered_after == null ? 0 : 1

  name       = "${var.name}-undelivered"
  labels     = local.labels
  depends_on = [google_project_service.apis]
}

# Under accounted reading nobody extends a lease, and a message is acknowledged when what came of it is durable: so the
# deadline is the longest there is, and nothing may wait for what was not acknowledged yet (docs/engines.md).
locals {
  accounted    = var.read == "accounted"
  ack_deadline = local.accounted ? 600 : 60
}

resource "google_pubsub_subscription" "events" {
  name   = "${var.name}-events"
  topic  = google_pubsub_topic.events.name
  labels = local.labels

  # A publisher that sets the user id as the key keeps the order of each user's calls. Without a key nothing changes.
  # It cannot be switched later.
  enable_message_ordering = !local.accounted

  # Dataflow extends deadlines by itself. A live job on one machine gives a message back within 10 s when it dies, and
  # sets that itself: this is for accounted reading, and whoever else pulls.
  ack_deadline_seconds = local.ack_deadline

  # A job that was cancelled took messages with it that it had acknowledged. With these two the subscription can be
  # sought back to before that: docs/operations/job-died.md.
  message_retention_duration = var.retention
  retain_acked_messages      = true

  # Dataflow removes duplicates of the broker itself, and Todoke those of publishers: this would only cost.
  enable_exactly_once_delivery = false

  expiration_policy {
    ttl = "" # a site that rests for a month keeps its subscription
  }

  # Dataflow supports neither this nor a retry policy (https://cloud.google.com/pubsub/docs/handling-failures). Messages
  # that cannot be read become dead letters of Todoke's own, and a store that is down for long must not drive good
  # messages out of the queue. So it is off unless asked for.
  dynamic "dead_letter_policy" {
    for_each = google_pubsub_topic.undelivered
    content {
      dead_letter_topic     = "projects/${var.project}/topics/${dead_letter_policy.value.name}"
      max_delivery_attempts = var.undelivered_after
    }
  }
}

resource "google_pubsub_subscription" "control" {
  name   = "${var.name}-control"
  topic  = google_pubsub_topic.control.name
  labels = local.labels

  ack_deadline_seconds       = local.ack_deadline
  message_retention_duration = var.retention
  retain_acked_messages      = true # sought back together with the events

  expiration_policy {
    ttl = ""
  }
}

# What nobody subscribes to is lost, so this one is here, and its backlog is what the alert counts. The store keeps dead
# letters too, which is where `todoke dead-letters` and `todoke replay` look: pull this one to empty it.
resource "google_pubsub_subscription" "dead_letters" {
  name   = "${var.name}-dead-letters"
  topic  = google_pubsub_topic.dead_letters.name
  labels = local.labels

  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_subscription" "undelivered" {
  count = length(google_pubsub_topic.undelivered)

  name   = "${var.name}-undelivered"
  topic  = google_pubsub_topic.undelivered[count.index].name
  labels = local.labels

  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }
}
