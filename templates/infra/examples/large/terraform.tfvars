# Twenty million users and three billion events a month. docs/cloud.md has what it costs.
project = "my-project"
region  = "europe-west1"
name    = "engagement"

labels = { team = "crm" }
parameters = {
  push            = "fcm:my-apps"
  email           = "smtps://smtp.example.com:465"
  mail_from       = "Shop <shop@example.com>"
  unsubscribe_url = "https://example.com/unsubscribe"
  smtp_user       = "todoke"
  webhook         = "true"
}
secrets = {
  TODOKE_SIGNING_KEYS       = "signing-keys@1"
  TODOKE_UNSUBSCRIBE_SECRET = "unsubscribe"
  TODOKE_SMTP_PASSWORD      = "smtp-password"
  TODOKE_SECRET_CRM         = "crm-token"
}
push_project = "my-apps"
publishers   = ["serviceAccount:gateway@my-project.iam.gserviceaccount.com"]
receipts     = ["serviceAccount:receipts@my-project.iam.gserviceaccount.com"]
subnetwork   = "regions/europe-west1/subnetworks/private"
notify       = ["projects/my-project/notificationChannels/1234567890"]

# Services for SDKs, and for customers and providers; a load balancer of ours stands before both.
ingress = "load-balancer"
collect = {
  keys          = "write-keys@2"
  announcements = true
  address_rate  = 50
  min_instances = 2
  max_instances = 20
}
engage = {
  secrets       = { TODOKE_SIGNING_KEYS = "signing-keys@1", TODOKE_INBOX_KEYS = "inbox-keys@3" }
  keys          = "write-keys@2"
  url           = "https://links.example.com"
  min_instances = 2
}

job = {
  machine_type = "n2-standard-4"
  workers      = 4
  max_workers  = 20
}

bigtable = {
  min_nodes    = 3
  max_nodes    = 12
  archive_days = 400
  backup_days  = 7
}

# Seeds for users who wait after a publication, each night, of the archive.
backfill = {
  schedule  = "30 2 * * *"
  time_zone = "Europe/Berlin"
}
