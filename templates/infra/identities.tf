# Who does what. Each right stands once, in `grants`, with its reason; the output `rights` shows them all.
#
#   worker     Dataflow's launcher and workers
#   launcher   whoever launches and updates the job: a person, a build, `todoke launch`
#   scheduler  Cloud Scheduler, which launches the backfill and starts commands
#   commands   the commands by the clock
#   collect    the service that takes calls
#   engage     the service that customers and providers touch

locals {
  accounts = merge(local.service_accounts, {
    worker    = "Todoke: launcher and workers on Dataflow"
    launcher  = "Todoke: launches and updates jobs"
    scheduler = "Todoke: Cloud Scheduler"
    commands  = "Todoke: commands by the clock"
  })
  service_accounts = merge(
    var.collect == null ? {} : { collect = "Todoke: takes calls" },
    var.engage == null ? {} : { engage = "Todoke: what customers and providers touch" },
  )
  emails  = { for who in keys(local.accounts) : who => "${var.name}-${who}@${var.project}.iam.gserviceaccount.com" }
  members = { for who, email in local.emails : who => "serviceAccount:${email}" }
}

resource "google_service_account" "accounts" {
  for_each = local.accounts

  account_id   = "${var.name}-${each.key}"
  display_name = each.value
  depends_on   = [google_project_service.apis]
}

# Only what a launch needs: nobody who may launch a backfill may cancel the live job.
resource "google_project_iam_custom_role" "launch" {
  role_id     = "${replace(var.name, "-", "_")}_launch"
  title       = "Todoke: launch Dataflow templates"
  description = "Launch a flex template, and see whether a job of that name runs"
  permissions = [
    "dataflow.jobs.create",
    "dataflow.jobs.get",
    "dataflow.jobs.list",
  ]
  depends_on = [google_project_service.apis]
}

locals {
  launch_role = "projects/${var.project}/roles/${google_project_iam_custom_role.launch.role_id}"

  # Of the whole project, where Google has nothing narrower.
  project_grants = [
    { who = "worker", role = "roles/dataflow.worker", why = "machines of a job take work, and write logs and metrics" },
    { who = "worker", role = "roles/dataflow.viewer", why = "the launcher runs as this account, and Beam lists jobs when it updates one" },
    { who = "launcher", role = "roles/dataflow.developer", why = "launch, update, drain and look at jobs" },
    { who = "scheduler", role = local.launch_role, why = "launch the backfill by its template" },
  ]

  topic_grants = concat(
    [
      { who = "worker", topic = "control", role = "roles/pubsub.publisher", why = "what goes back to users" },
      { who = "worker", topic = "dead_letters", role = "roles/pubsub.publisher", why = "messages that cannot be read or applied" },
      { who = "worker", topic = "control", role = "roles/pubsub.viewer", why = "Dataflow's own writer may look whether the topic is there" },
      { who = "worker", topic = "dead_letters", role = "roles/pubsub.viewer", why = "Dataflow's own writer may look whether the topic is there" },
      { who = "commands", topic = "control", role = "roles/pubsub.publisher", why = "`todoke sweep` tells users what became of claims" },
      { who = "commands", topic = "control", role = "roles/pubsub.viewer", why = "`todoke doctor` asks whether the topic is there" },
      { who = "commands", topic = "dead_letters", role = "roles/pubsub.viewer", why = "`todoke doctor` asks whether the topic is there" },
      { who = "launcher", topic = "control", role = "roles/pubsub.publisher", why = "`todoke wake` after a launch that is no update" },
      { who = "launcher", topic = "control", role = "roles/pubsub.viewer", why = "`todoke launch` asks whether the topic is there" },
      { who = "launcher", topic = "dead_letters", role = "roles/pubsub.viewer", why = "`todoke launch` asks whether the topic is there" },
    ],
    var.collect == null ? [] : [
      { who = "collect", topic = "events", role = "roles/pubsub.publisher", why = "publishes the calls that it takes" },
      { who = "collect", topic = "dead_letters", role = "roles/pubsub.publisher", why = "publishes those that it refuses" },
    ],
    var.engage == null ? [] : [
      { who = "engage", topic = "control", role = "roles/pubsub.publisher", why = "publishes what customers did, and providers tell" },
      { who = "engage", topic = "touches", role = "roles/pubsub.publisher", why = "publishes opens and clicks, which wait for their verdict" },
    ],
    [for member in var.publishers : { who = member, topic = "events", role = "roles/pubsub.publisher", why = "publishes events" }],
    [for member in var.receipts : { who = member, topic = "control", role = "roles/pubsub.publisher", why = "publishes receipts" }],
  )

  subscription_grants = concat(
    flatten([for subscription in ["events", "control"] : [
      { who = "worker", subscription = subscription, role = "roles/pubsub.subscriber", why = "the job reads it" },
      { who = "worker", subscription = subscription, role = "roles/pubsub.viewer", why = "Dataflow's own reader looks how it is set" },
      { who = "launcher", subscription = subscription, role = "roles/pubsub.viewer", why = "`todoke launch` asks whether it is there" },
      { who = "commands", subscription = subscription, role = "roles/pubsub.viewer", why = "`todoke doctor` asks whether it is there" },
    ]]),
    var.engage == null ? [] : [
      { who = "engage", subscription = "touches", role = "roles/pubsub.subscriber", why = "judges opens and clicks" },
    ],
  )

  # Of the store's instance.
  store_grants = concat([
    { who = "worker", role = "roles/bigtable.user", why = "read and write users, sends and events; tables are made by Terraform" },
    { who = "commands", role = "roles/bigtable.user", why = "`todoke sweep` settles claims" },
    { who = "launcher", role = "roles/bigtable.reader", why = "`todoke launch` looks whether the store is there; `todoke wake` reads who waits" },
    ], var.engage == null ? [] : [
    { who = "engage", role = "roles/bigtable.reader", why = "looks up inboxes, consent, and what was sent" },
  ])

  # Of one table of it.
  table_grants = var.engage == null ? [] : [
    { who = "engage", table = "inbox", role = "roles/bigtable.user", why = "marks inbox messages as read" },
    { who = "engage", table = "dead_letters", role = "roles/bigtable.user", why = "keeps what it cannot read of webhooks" },
    { who = "engage", table = "metrics", role = "roles/bigtable.user", why = "writes its minute counts" },
  ]

  bucket_grants = concat([
    { who = "worker", bucket = "site", role = "roles/storage.objectViewer", why = "templates, definitions and histories" },
    { who = "worker", bucket = "work", role = "roles/storage.objectAdmin", why = "Dataflow stages jobs there, and removes what it wrote" },
    { who = "worker", bucket = "work", role = "roles/storage.legacyBucketReader", why = "Dataflow asks whether the bucket is there" },
    { who = "launcher", bucket = "site", role = "roles/storage.objectAdmin", why = "`todoke publish` writes definitions, a build writes templates" },
    { who = "launcher", bucket = "work", role = "roles/storage.objectAdmin", why = "a launch without a template stages the job itself" },
    { who = "scheduler", bucket = "site", role = "roles/storage.objectViewer", why = "whoever launches a template must be able to read it" },
    { who = "commands", bucket = "site", role = "roles/storage.objectViewer", why = "`todoke sweep` and `todoke doctor` read definitions" },
    ], [
    for who in local.readers_of_definitions :
    { who = who, bucket = "site", role = "roles/storage.objectViewer", within = "definitions/", why = "reads definitions, and nothing else there" }
  ])
  readers_of_definitions = concat(
    var.collect == null ? [] : var.collect.announcements ? ["collect"] : [],
    var.engage == null ? [] : ["engage"],
  )

  image_grants = concat([
    { who = "worker", role = "roles/artifactregistry.reader", why = "machines pull the image" },
    { who = "launcher", role = "roles/artifactregistry.writer", why = "a build pushes the image" },
    ], [
    for who in keys(local.service_accounts) :
    { who = who, role = "roles/artifactregistry.reader", why = "its instances are of the image" }
  ])

  # Whoever launches a job lets it run as the worker.
  impersonation_grants = [
    { who = "launcher", role = "roles/iam.serviceAccountUser", why = "the job that it launches runs as the worker" },
    { who = "scheduler", role = "roles/iam.serviceAccountUser", why = "the backfill that it launches runs as the worker" },
  ]

  secret_grants = concat(
    [
      for id in toset([for at in values(var.secrets) : split("@", at)[0]]) :
      { who = "worker", secret = id, role = "roles/secretmanager.secretAccessor", why = "workers read it by its name" }
    ],
    var.collect == null ? [] : [
      { who = "collect", secret = split("@", var.collect.keys)[0], role = "roles/secretmanager.secretAccessor", why = "whose calls it takes" },
    ],
    var.engage == null ? [] : [
      for id in toset(concat([for at in values(var.engage.secrets) : split("@", at)[0]], [for at in compact([var.engage.keys]) : split("@", at)[0]])) :
      { who = "engage", secret = id, role = "roles/secretmanager.secretAccessor", why = "signs and verifies by it" }
    ],
  )

  push_grants = var.push_project == "" ? [] : [
    { who = "worker", role = "roles/firebasecloudmessaging.admin", why = "send pushes; the narrowest role of Firebase that may" },
  ]

  # Reading tables of BigQuery: sessions and queries are paid here, and each table or data set is granted by itself.
  bigquery_grants = var.bigquery == null ? [] : flatten([for who in var.bigquery.readers : concat(
    [{ who = who, role = "roles/bigquery.readSessionUser", table = "", why = "open sessions that read tables; this project pays" }],
    var.bigquery.queries ? [{ who = who, role = "roles/bigquery.jobUser", table = "", why = "run queries; this project pays" }] : [],
    [for each in setunion(var.bigquery.tables, var.bigquery.datasets) :
    { who = who, role = "roles/bigquery.dataViewer", table = each, why = "read what `bigquery` names" }],
  )])

  command_grants = [
    for name in keys(google_cloud_run_v2_job.commands) :
    { who = "scheduler", command = name, role = "roles/run.invoker", why = "start the command" }
  ]

  rights = concat(
    [for each in local.project_grants : merge(each, { on = "project ${var.project}" })],
    [for each in local.topic_grants : merge(each, { on = "topic ${each.topic}" })],
    [for each in local.subscription_grants : merge(each, { on = "subscription ${each.subscription}" })],
    [for each in local.store_grants : merge(each, { on = "instance ${google_bigtable_instance.store.name}" })],
    [for each in local.table_grants : merge(each, { on = "table ${each.table}" })],
    [for each in local.bucket_grants : { who = each.who, role = each.role, why = each.why, on = trimsuffix("bucket ${each.bucket}/${lookup(each, "within", "")}", "/") }],
    [for each in local.image_grants : merge(each, { on = "repository ${var.name}" })],
    [for each in local.impersonation_grants : merge(each, { on = "account worker" })],
    [for each in local.secret_grants : merge(each, { on = "secret ${each.secret}" })],
    [for each in local.push_grants : merge(each, { on = "project ${var.push_project}" })],
    [for each in local.bigquery_grants : { who = each.who, role = each.role, why = each.why, on = each.table == "" ? "project ${var.project}" : "BigQuery ${each.table}" }],
    [for each in local.command_grants : merge(each, { on = "command ${each.command}" })],
  )
}

resource "google_project_iam_member" "rights" {
  for_each = { for each in local.project_grants : "${each.who} ${basename(each.role)}" => each }

  project = var.project
  role    = each.value.role
  member  = local.members[each.value.who]

  depends_on = [google_service_account.accounts]
}

resource "google_pubsub_topic_iam_member" "rights" {
  for_each = { for each in local.topic_grants : "${each.who} ${each.topic} ${basename(each.role)}" => each }

  topic = {
    events       = google_pubsub_topic.events.name
    control      = google_pubsub_topic.control.name
    dead_letters = google_pubsub_topic.dead_letters.name
    touches      = one(google_pubsub_topic.touches[*].name)
  }[each.value.topic]
  role   = each.value.role
  member = lookup(local.members, each.value.who, each.value.who)

  depends_on = [google_service_account.accounts]
}

resource "google_pubsub_subscription_iam_member" "rights" {
  for_each = { for each in local.subscription_grants : "${each.who} ${each.subscription} ${basename(each.role)}" => each }

  subscription = {
    events  = google_pubsub_subscription.events.name
    control = google_pubsub_subscription.control.name
    touches = one(google_pubsub_subscription.touches[*].name)
  }[each.value.subscription]
  role   = each.value.role
  member = local.members[each.value.who]

  depends_on = [google_service_account.accounts]
}

resource "google_bigtable_instance_iam_member" "rights" {
  for_each = { for each in local.store_grants : each.who => each }

  instance = google_bigtable_instance.store.name
  role     = each.value.role
  member   = local.members[each.value.who]

  depends_on = [google_service_account.accounts]
}

resource "google_bigtable_table_iam_member" "rights" {
  for_each = { for each in local.table_grants : "${each.who} ${each.table}" => each }

  instance_name = google_bigtable_instance.store.name
  table         = google_bigtable_table.tables[each.value.table].name
  role          = each.value.role
  member        = local.members[each.value.who]

  depends_on = [google_service_account.accounts]
}

resource "google_storage_bucket_iam_member" "rights" {
  for_each = { for each in local.bucket_grants : "${each.who} ${each.bucket} ${basename(each.role)}" => each }

  bucket = {
    site = google_storage_bucket.site.name
    work = google_storage_bucket.work.name
  }[each.value.bucket]
  role   = each.value.role
  member = local.members[each.value.who]

  dynamic "condition" {
    for_each = compact([lookup(each.value, "within", "")])
    content {
      title      = "Below ${condition.value}"
      expression = "resource.name.startsWith(\"projects/_/buckets/${google_storage_bucket.site.name}/objects/${condition.value}\")"
    }
  }

  depends_on = [google_service_account.accounts]
}

resource "google_artifact_registry_repository_iam_member" "rights" {
  for_each = { for each in local.image_grants : each.who => each }

  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = each.value.role
  member     = local.members[each.value.who]

  depends_on = [google_service_account.accounts]
}

resource "google_service_account_iam_member" "rights" {
  for_each = { for each in local.impersonation_grants : each.who => each }

  service_account_id = "projects/${var.project}/serviceAccounts/${local.emails["worker"]}"
  role               = each.value.role
  member             = local.members[each.value.who]

  depends_on = [google_service_account.accounts]
}

# Secrets are made and filled outside: a state of Terraform holds what it makes in plain text.
resource "google_secret_manager_secret_iam_member" "rights" {
  for_each = { for each in local.secret_grants : "${each.who} ${each.secret}" => each }

  secret_id = each.value.secret
  role      = each.value.role
  member    = local.members[each.value.who]

  depends_on = [google_service_account.accounts]
}

resource "google_project_iam_member" "push" {
  for_each = { for each in local.push_grants : each.who => each }

  project = var.push_project
  role    = each.value.role
  member  = local.members[each.value.who]

  depends_on = [google_service_account.accounts]
}

resource "google_project_iam_member" "bigquery" {
  for_each = { for each in local.bigquery_grants : "${each.who} ${basename(each.role)}" => each if each.table == "" }

  project = var.project
  role    = each.value.role
  member  = local.members[each.value.who]

  depends_on = [google_service_account.accounts]
}

resource "google_bigquery_dataset_iam_member" "rights" {
  for_each = { for each in local.bigquery_grants : "${each.who} ${each.table}" => each if length(split(".", each.table)) == 2 }

  project    = split(".", each.value.table)[0]
  dataset_id = split(".", each.value.table)[1]
  role       = each.value.role
  member     = local.members[each.value.who]

  depends_on = [google_service_account.accounts]
}

resource "google_bigquery_table_iam_member" "rights" {
  for_each = { for each in local.bigquery_grants : "${each.who} ${each.table}" => each if length(split(".", each.table)) == 3 }

  project    = split(".", each.value.table)[0]
  dataset_id = split(".", each.value.table)[1]
  table_id   = split(".", each.value.table)[2]
  role       = each.value.role
  member     = local.members[each.value.who]

  depends_on = [google_service_account.accounts]
}

resource "google_cloud_run_v2_job_iam_member" "rights" {
  for_each = { for each in local.command_grants : each.command => each }

  location = google_cloud_run_v2_job.commands[each.key].location
  name     = google_cloud_run_v2_job.commands[each.key].name
  role     = each.value.role
  member   = local.members[each.value.who]

  depends_on = [google_service_account.accounts]
}

# Pub/Sub itself forwards messages that were delivered in vain.
resource "google_project_service_identity" "pubsub" {
  provider = google-beta
  count    = var.undelivered_after == null ? 0 : 1

  service = "pubsub.googleapis.com"
}

resource "google_pubsub_topic_iam_member" "forwards" {
  count = length(google_project_service_identity.pubsub)

  topic  = google_pubsub_topic.undelivered[count.index].name
  role   = "roles/pubsub.publisher"
  member = "serviceAccount:${google_project_service_identity.pubsub[count.index].email}"
}

resource "google_pubsub_subscription_iam_member" "forwards" {
  count = length(google_project_service_identity.pubsub)

  subscription = google_pubsub_subscription.events.name
  role         = "roles/pubsub.subscriber"
  member       = "serviceAccount:${google_project_service_identity.pubsub[count.index].email}"
}
