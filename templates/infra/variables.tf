variable "project" {
  description = "Id of the project. Everything is made in it."
  type        = string
}

variable "region" {
  description = "Region of the jobs, the buckets and the image."
  type        = string
}

variable "name" {
  description = "What all names begin with. Two sites can live in one project under two names."
  type        = string
  default     = "todoke"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,18}[a-z0-9]$", var.name))
    error_message = "Small letters, digits and dashes, 6 to 20 of them: it names the Bigtable instance, and begins the names of service accounts."
  }
}

variable "image" {
  description = "The image, by digest: HOST/PROJECT/REPOSITORY/todoke@sha256:…. Empty for the first apply, before there is one: then no job is made."
  type        = string
  default     = ""

  validation {
    condition     = var.image == "" || can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest. A tag may be moved while workers are added, and then two versions share one job."
  }
}

variable "labels" {
  description = "Labels of everything that takes labels."
  type        = map(string)
  default     = {}
}

# --- The job -------------------------------------------------------------------------------------------------------

variable "job" {
  description = "The realtime job. With `run = false` all else stands, and the job is launched by `todoke launch`."
  type = object({
    run          = optional(bool, true)
    machine_type = optional(string, "n2-standard-2")
    workers      = optional(number, 1)
    max_workers  = optional(number, 3)
  })
  default = {}
}

variable "definitions" {
  description = "What the job is to do: the pointer that `todoke publish` writes. Empty for definitions/live.json in the site's bucket."
  type        = string
  default     = ""

  validation {
    condition     = var.definitions == "" || startswith(var.definitions, "gs://")
    error_message = "Name a gs:// address: nothing else reaches a worker."
  }
}

variable "read" {
  description = "Who acknowledges events and control: `beam`, whose source does it by itself, or `accounted`, which Flink needs (docs/engines.md). It makes the subscriptions fit, so choose before the first apply: another choice makes other subscriptions, and what waits in the old ones is lost."
  type        = string
  default     = "beam"

  validation {
    condition     = contains(["beam", "accounted"], var.read)
    error_message = "`beam` or `accounted`."
  }
}

variable "parameters" {
  description = "More parameters of the realtime template, such as { push = \"fcm:my-project\" }. templates/realtime/metadata.json lists them."
  type        = map(string)
  default     = {}

  validation {
    condition     = !contains(keys(var.parameters), "read")
    error_message = "How the job reads stands in the variable `read`: the subscriptions must fit."
  }

  validation {
    condition = alltrue([
      for name in keys(var.parameters) :
      contains(jsondecode(file("${path.module}/generated/realtime.json")).metadata.parameters[*].name, name)
    ])
    error_message = "The realtime template has no such parameter: templates/realtime/metadata.json lists them. A secret is no parameter: name it in `secrets`."
  }
}

variable "secrets" {
  description = "Secrets by the variable that the job reads: { TODOKE_SMTP_PASSWORD = \"smtp-password\" }. Each value is the id of a secret in Secret Manager that exists and has a version, or ID@VERSION. No secret is ever a value here."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for variable, id in var.secrets : can(regex("^TODOKE_[A-Z0-9_]+$", variable)) && can(regex("^[A-Za-z0-9_-]{1,255}(@[1-9][0-9]*)?$", id))
    ])
    error_message = "Variables begin with TODOKE_, and a value is the id of a secret (letters, digits, dashes and underscores), with @VERSION behind it or not."
  }

  validation {
    condition = alltrue([
      for variable in keys(var.secrets) : startswith(variable, "TODOKE_SECRET_") || contains(
        jsondecode(file("${path.module}/generated/realtime.json")).metadata.parameters[*].name,
        "${trimsuffix(lower(trimprefix(variable, "TODOKE_")), "_secret")}_secret",
      )
    ])
    error_message = "No channel takes such a secret: docs/reference/configuration.md lists the variables."
  }
}

variable "push_project" {
  description = "Project of Firebase whose app gets pushes; empty for none."
  type        = string
  default     = ""
}

variable "subnetwork" {
  description = "regions/R/subnetworks/S. Workers then have no public address: mail and webhooks need Cloud NAT there. Empty for the default network and public addresses."
  type        = string
  default     = ""
}

# --- Around it -----------------------------------------------------------------------------------------------------

variable "publishers" {
  description = "Who may publish events: members such as serviceAccount:gateway@…."
  type        = list(string)
  default     = []
}

variable "receipts" {
  description = "Who may publish receipts to the control topic: members such as serviceAccount:receipts@…."
  type        = list(string)
  default     = []
}

variable "retention" {
  description = "How long the subscription keeps messages, acknowledged ones too: as far back as it can be sought. 7 days at most."
  type        = string
  default     = "604800s"
}

variable "undelivered_after" {
  description = "Of live jobs on one machine: deliveries after which a message goes to the topic of undelivered ones, 5 to 100. Null for never. Dataflow does not support it."
  type        = number
  default     = null

  validation {
    condition     = var.undelivered_after == null ? true : var.undelivered_after >= 5 && var.undelivered_after <= 100
    error_message = "5 to 100 deliveries."
  }

  validation {
    condition     = var.undelivered_after == null || var.read != "accounted"
    error_message = "With `read = \"accounted\"` each lease that ends is a delivery: after a few restarts good messages would be gone."
  }
}

variable "bigtable" {
  description = "The instance. Zone: empty for the region's `b`. Nodes are added up to `max_nodes` for `cpu` percent. `archive_days`: how long events stay; null for ever. `backup_days`: null for no backups."
  type = object({
    zone         = optional(string, "")
    min_nodes    = optional(number, 1)
    max_nodes    = optional(number, 3)
    cpu          = optional(number, 60)
    archive_days = optional(number)
    backup_days  = optional(number, 3)
  })
  default = {}
}

variable "backfill" {
  description = "A backfill by the clock: its cron, the time zone of that, its machine if it is not that of the template, and parameters of the backfill template. Without parameters it makes the seeds that users wait for after a publication. Null for none."
  type = object({
    schedule     = string
    time_zone    = optional(string, "Etc/UTC")
    machine_type = optional(string, "")
    parameters   = optional(map(string), {})
  })
  default = null

  validation {
    condition = var.backfill == null ? true : alltrue([
      for name in keys(var.backfill.parameters) :
      contains(jsondecode(file("${path.module}/generated/backfill.json")).metadata.parameters[*].name, name)
    ])
    error_message = "The backfill template has no such parameter: templates/backfill/metadata.json lists them."
  }
}

variable "collect" {
  description = "The service that takes calls of SDKs. `keys` is the secret with the file of write keys (docs/reference/collect.md): its id, or ID@VERSION. `announcements`: events for everybody may come without ids. `address_rate`: requests a second of one address and instance. `domain`: a verified name of yours, or empty. Null for none."
  type = object({
    keys          = string
    announcements = optional(bool, false)
    address_rate  = optional(number)
    min_instances = optional(number, 1)
    max_instances = optional(number, 10)
    concurrency   = optional(number, 200)
    cpu           = optional(string, "1")
    memory        = optional(string, "1Gi")
    domain        = optional(string, "")
  })
  default = null

  validation {
    condition     = var.collect == null ? true : can(regex("^[A-Za-z0-9_-]{1,255}(@[1-9][0-9]*)?$", var.collect.keys))
    error_message = "`keys` is the id of a secret, with @VERSION behind it or not."
  }
}

variable "engage" {
  description = "The service that customers and providers touch. `secrets` by the variable that it reads: { TODOKE_SIGNING_KEYS = \"signing-keys\" }, an id of Secret Manager, or ID@VERSION. `variables`: what is no secret. `keys`: the secret with the file of write keys of apps, likewise, or empty. `url`: where it answers, https://…. Null for none."
  type = object({
    secrets       = map(string)
    variables     = optional(map(string), {})
    keys          = optional(string, "")
    url           = optional(string, "")
    min_instances = optional(number, 1)
    max_instances = optional(number, 10)
    concurrency   = optional(number, 200)
    cpu           = optional(string, "1")
    memory        = optional(string, "1Gi")
    domain        = optional(string, "")
  })
  default = null

  validation {
    condition = var.engage == null ? true : alltrue([
      for variable, at in var.engage.secrets :
      can(regex("^TODOKE_[A-Z0-9_]+$", variable)) && can(regex("^[A-Za-z0-9_-]{1,255}(@[1-9][0-9]*)?$", at))
    ])
    error_message = "Variables begin with TODOKE_, and a value is the id of a secret, with @VERSION behind it or not."
  }

  validation {
    condition     = var.engage == null ? true : contains(keys(var.engage.secrets), "TODOKE_SIGNING_KEYS")
    error_message = "Its tokens are signed: name the secret of TODOKE_SIGNING_KEYS."
  }

  validation {
    condition     = var.engage == null ? true : var.engage.url == "" || contains(keys(var.secrets), "TODOKE_SIGNING_KEYS")
    error_message = "With `url` the job makes links to engage, and signs them: name TODOKE_SIGNING_KEYS in `secrets`, too."
  }

  validation {
    condition     = var.engage == null ? true : !anytrue([for name in keys(var.engage.variables) : can(regex("KEYS|SECRET|TOKEN|PASSWORD", name)) && !contains(["TODOKE_SENDGRID_KEYS"], name)])
    error_message = "A secret is named in `secrets`, and never stands here. (Those of TODOKE_SENDGRID_KEYS are public keys.)"
  }
}

variable "ingress" {
  description = "From where the services may be asked: `internet`, or `load-balancer`, which is yours and is not made here."
  type        = string
  default     = "internet"

  validation {
    condition     = contains(["internet", "load-balancer"], var.ingress)
    error_message = "`internet` or `load-balancer`."
  }
}

variable "bigquery" {
  description = "What may be read from BigQuery: tables PROJECT.DATASET.TABLE, data sets PROJECT.DATASET (all of its tables), queries over these if `queries`; and by whom: `worker` (backfills on Dataflow), `commands` (imports by the clock), `launcher` (by hand). The project here pays. Null for nothing."
  type = object({
    tables   = optional(set(string), [])
    datasets = optional(set(string), [])
    queries  = optional(bool, false)
    readers  = optional(set(string), ["worker", "commands"])
  })
  default = null

  validation {
    condition = var.bigquery == null ? true : alltrue(concat(
      [for name in var.bigquery.tables : can(regex("^[^.]+\\.[^.]+\\.[^.]+$", name))],
      [for name in var.bigquery.datasets : can(regex("^[^.]+\\.[^.]+$", name))],
      [for who in var.bigquery.readers : contains(["worker", "commands", "launcher"], who)],
      [length(var.bigquery.tables) + length(var.bigquery.datasets) > 0, length(var.bigquery.readers) > 0],
    ))
    error_message = "Name tables as PROJECT.DATASET.TABLE or data sets as PROJECT.DATASET, one at least, and readers among worker, commands and launcher."
  }
}

variable "commands" {
  description = "Commands by the clock, each in a container of the same image: words of `todoke`, the cron, the time zone, and how long one may take. `STORE`, `EVENTS`, `CONTROL`, `CONTROL_TOPIC`, `DEAD_LETTERS` and `DEFINITIONS` stand for those of the job."
  type = map(object({
    words     = list(string)
    schedule  = string
    time_zone = optional(string, "Etc/UTC")
    timeout   = optional(string, "3600s")
    memory    = optional(string, "2Gi")
  }))
  default = {
    sweep = {
      words    = ["sweep", "--store", "STORE", "--definitions", "DEFINITIONS", "--control-topic", "CONTROL_TOPIC", "--older-than", "1h", "--json"]
      schedule = "17 * * * *"
    }
    report = {
      words    = ["metrics", "--store", "STORE", "--prometheus"]
      schedule = "5 6 * * *"
    }
    doctor = {
      words    = ["doctor", "--store", "STORE", "--events", "EVENTS", "--control", "CONTROL", "--control-topic", "CONTROL_TOPIC", "--dead-letters", "DEAD_LETTERS", "--definitions", "DEFINITIONS", "--json"]
      schedule = "35 5 * * *"
    }
  }
}

variable "notify" {
  description = "Notification channels of Cloud Monitoring that alerts go to: projects/P/notificationChannels/N."
  type        = list(string)
  default     = []
}

variable "alerts" {
  description = "From when on to alert. Times in seconds."
  type = object({
    lag          = optional(number, 300)
    freshness    = optional(number, 900)
    unacked      = optional(number, 600)
    dead_letters = optional(number, 100)
    cpu          = optional(number, 0.8)
    hot_node_cpu = optional(number, 0.9)
    storage      = optional(number, 0.7)
    missing      = optional(number, 900)
    errors       = optional(number, 20)
    refused      = optional(number, 50)
  })
  default = {}
}

variable "deletion_protection" {
  description = "Whether Bigtable's instance and tables are kept from `terraform destroy`, and buckets that hold something too. A smoke test says false."
  type        = bool
  default     = true
}
