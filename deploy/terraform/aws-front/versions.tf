terraform {
  required_version = ">= 1.9"

  required_providers {
    # From version 6 on, each resource has a `region`, so that one provider serves all regions of an account.
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }
  }
}
