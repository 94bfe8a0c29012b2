# The store. Its tables come from generated/bigtable.json, which `make templates` writes from the code.

resource "google_bigtable_instance" "store" {
  name                = var.name
  display_name        = "Todoke: users, sends, events"
  deletion_protection = var.deletion_protection
  labels              = local.labels
  depends_on          = [google_project_service.apis]

  # One cluster: claims are written where there is no row (CheckAndMutateRow), which needs an application profile that
  # routes to one cluster. That is what the default profile of an instance with one cluster does.
  cluster {
    cluster_id   = "${var.name}-a"
    zone         = coalesce(var.bigtable.zone, "${var.region}-b")
    storage_type = "SSD"

    autoscaling_config {
      min_nodes  = var.bigtable.min_nodes
      max_nodes  = var.bigtable.max_nodes
      cpu_target = var.bigtable.cpu
    }
  }
}

resource "google_bigtable_table" "tables" {
  for_each = local.bigtable.tables

  name                = each.key
  instance_name       = google_bigtable_instance.store.name
  deletion_protection = var.deletion_protection ? "PROTECTED" : "UNPROTECTED"

  dynamic "column_family" {
    for_each = each.value.families
    content {
      family = column_family.key
    }
  }

  dynamic "automated_backup_policy" {
    for_each = var.bigtable.backup_days == null ? [] : [var.bigtable.backup_days]
    content {
      retention_period = "${automated_backup_policy.value * 24}h0m0s"
      frequency        = "24h0m0s"
    }
  }
}

locals {
  families = merge([
    for table, said in local.bigtable.tables : {
      for family, rule in said.families : "${table}/${family}" => merge(rule, { table = table, family = family })
    }
  ]...)
}

resource "google_bigtable_gc_policy" "rules" {
  for_each = local.families

  instance_name = google_bigtable_instance.store.name
  table         = google_bigtable_table.tables[each.value.table].name
  column_family = each.value.family

  # `deletion_policy` only leaves the rule as it is: a table that goes takes it along.
  deletion_policy = "ABANDON"

  # Cells of the archive have the time of their arrival, so that age means something. No other table has that. An hour is
  # added, since whole days are read back as days, which are no hours to the provider: it would plan a change for ever.
  gc_rules = (each.value.by_arrival && var.bigtable.archive_days != null
    ? jsonencode({
      mode  = "union"
      rules = [{ max_version = each.value.max_versions }, { max_age = "${var.bigtable.archive_days * 24 + 1}h" }]
    })
    : jsonencode({ rules = [{ max_version = each.value.max_versions }] })
  )
}
