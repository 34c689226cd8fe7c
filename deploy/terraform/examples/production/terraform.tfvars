# What only you know. The config says the rest: see stores.auto.tfvars.json.

aws_accounts = {
  "aws/123456789012" = {
    region = "us-east-1"
    # The mirror runs on Google Cloud, as a service account with this number.
    writer      = { issuer = "https://accounts.google.com", subjects = ["109876543210987654321"], audiences = ["sts.amazonaws.com"] }
    replication = { from = "s3-use1", to = ["s3-euc1"] }
    budget      = { usd_per_month = 5000, emails = ["registry@example.org"] }
  }
}

gcp_projects = {
  "4711" = {
    project        = "example-prod"
    writer_members = ["serviceAccount:oci-proxy-mirror@example-prod.iam.gserviceaccount.com"]
  }
}

azure = {
  subscription   = "00000000-0000-0000-0000-000000000000"
  resource_group = { name = "oci-proxy", id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/oci-proxy" }
  writer         = { issuer = "https://accounts.google.com", subjects = ["109876543210987654321"] }
}

r2_accounts = {
  "0123456789abcdef0123456789abcdef" = {
    account = "0123456789abcdef0123456789abcdef"
    zones   = { r2 = "fedcba9876543210fedcba9876543210" }
  }
}

gcp_front = {
  project         = "4711"
  image           = "us-docker.pkg.dev/example-prod/oci-proxy/oci-proxy@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  collector_image = "us-docker.pkg.dev/example-prod/oci-proxy/collector@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  mirror          = true
  regions = {
    us-central1  = { min_instances = 2, max_instances = 20 }
    europe-west1 = { min_instances = 2, max_instances = 20 }
    asia-east1   = { max_instances = 20 }
  }
  config = {
    publication = {
      url        = "https://storage.googleapis.com/example-prod-config/"
      deployment = "production"
      keys       = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
    }
  }
  uptime = { channels = ["projects/example-prod/notificationChannels/1"] }
}
