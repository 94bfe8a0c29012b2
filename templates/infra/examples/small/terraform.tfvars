# A shop with some hundred thousand users and ten million events a month. docs/cloud.md has what it costs.
project = "my-project"
region  = "europe-west1"

parameters = { push = "fcm:my-project" }
# What stands here must exist before the first apply, with a version in each secret (docs/cloud.md).
secrets = {
  TODOKE_UNSUBSCRIBE_SECRET = "unsubscribe"
}
push_project = "my-project"
# Accounts that exist.
publishers = ["serviceAccount:gateway@my-project.iam.gserviceaccount.com"]

job = {
  machine_type = "n2-standard-2"
  workers      = 1
  max_workers  = 2
}

bigtable = {
  min_nodes    = 1
  max_nodes    = 2
  archive_days = 730
}
