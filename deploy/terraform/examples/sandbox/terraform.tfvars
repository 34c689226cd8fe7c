# What only you know. The config says the rest: see stores.auto.tfvars.json.

name = "oci-proxy-sandbox"

aws_accounts = {
  "aws/210987654321" = {
    region   = "us-east-1"
    log_days = 14
    writer   = { issuer = "https://token.actions.githubusercontent.com", subjects = ["repo:example/images:environment:sandbox"], audiences = ["sts.amazonaws.com"] }
    budget   = { usd_per_month = 100, emails = ["registry@example.org"] }
  }
}

gcp_projects = { front = { project = "example-sandbox" } }

gcp_front = {
  project         = "front"
  image           = "us-docker.pkg.dev/example-sandbox/oci-proxy/oci-proxy@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  collector_image = "us-docker.pkg.dev/example-sandbox/oci-proxy/collector@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  regions         = { us-central1 = { max_instances = 2 }, europe-west1 = { max_instances = 2 } }
  config = {
    publication = {
      url        = "https://storage.googleapis.com/example-sandbox-config/"
      deployment = "sandbox"
      keys       = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
    }
  }
}
