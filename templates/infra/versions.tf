terraform {
  required_version = ">= 1.9"

  # Planned against the schemas of 6.50. Release 7 was looked at by its upgrade guide and notes alone, and nothing here was
  # planned with it: see README.md.
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50.0"
    }
    # google_dataflow_flex_template_job is in google-beta only. Before you allow another release, read dataflow.tf: if it
    # reads a job's options as Python names them, an update would launch the old image.
    google-beta = {
      source  = "hashicorp/google-beta"
      version = "~> 6.50.0"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

provider "google-beta" {
  project = var.project
  region  = var.region
}
