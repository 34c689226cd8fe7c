# Who may take which role, and what the roles may do. test/infra/iam tries requests against the same policies.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  stores = { use1 = { bucket = "prod-use1", region = "us-east-1" } }
  writer = {
    issuer    = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC"
    subjects  = ["system:serviceaccount:registry:mirror"]
    audiences = ["sts.amazonaws.com"]
  }
}

run "eks" {
  command = plan

  assert {
    condition = jsondecode(aws_iam_role.this["writer"].assume_role_policy).Statement == [{
      Sid       = "TokensOfWriter"
      Effect    = "Allow"
      Principal = { Federated = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/ABC" }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = { StringEquals = {
        "oidc.eks.us-east-1.amazonaws.com/id/ABC:aud" = ["sts.amazonaws.com"]
        "oidc.eks.us-east-1.amazonaws.com/id/ABC:sub" = ["system:serviceaccount:registry:mirror"]
      } }
    }]
    error_message = "The token must have this issuer, subject and audience."
  }
  assert {
    condition     = aws_iam_openid_connect_provider.this["https://oidc.eks.us-east-1.amazonaws.com/id/ABC"].client_id_list == toset(["sts.amazonaws.com"])
    error_message = "IAM knows the issuer and its audience."
  }
  assert {
    condition     = keys(aws_iam_role.this) == ["writer"]
    error_message = "There are no other roles."
  }
}

run "gke" {
  command = plan

  variables {
    writer = {
      issuer    = "https://container.googleapis.com/v1/projects/p/locations/europe-west1/clusters/c"
      subjects  = ["system:serviceaccount:registry:mirror"]
      audiences = ["sts.amazonaws.com"]
    }
  }

  assert {
    condition = jsondecode(aws_iam_role.this["writer"].assume_role_policy).Statement[0].Condition == { StringEquals = {
      "container.googleapis.com/v1/projects/p/locations/europe-west1/clusters/c:aud" = ["sts.amazonaws.com"]
      "container.googleapis.com/v1/projects/p/locations/europe-west1/clusters/c:sub" = ["system:serviceaccount:registry:mirror"]
    } }
    error_message = "The token must be that of this cluster."
  }
}

run "google" {
  command = plan

  variables {
    writer = {
      issuer    = "https://accounts.google.com"
      subjects  = ["112233445566778899001"]
      audiences = ["https://oci-proxy.example.org/mirror"]
    }
  }

  assert {
    condition = jsondecode(aws_iam_role.this["writer"].assume_role_policy).Statement[0].Condition == { StringEquals = {
      "accounts.google.com:sub"  = ["112233445566778899001"]
      "accounts.google.com:aud"  = ["112233445566778899001"]
      "accounts.google.com:oaud" = ["https://oci-proxy.example.org/mirror"]
    } }
    error_message = "Google's aud is azp, and oaud is the audience."
  }
  assert {
    condition     = jsondecode(aws_iam_role.this["writer"].assume_role_policy).Statement[0].Principal == { Federated = "accounts.google.com" }
    error_message = "IAM knows Google by itself."
  }
  assert {
    condition     = length(aws_iam_openid_connect_provider.this) == 0
    error_message = "IAM knows Google by itself."
  }
}

run "github" {
  command = plan

  variables {
    writer = {
      issuer    = "https://token.actions.githubusercontent.com"
      subjects  = ["repo:example/registry:ref:refs/heads/main"]
      audiences = ["sts.amazonaws.com"]
    }
    existing_oidc_providers = ["https://token.actions.githubusercontent.com"]
  }

  assert {
    condition = jsondecode(aws_iam_role.this["writer"].assume_role_policy).Statement[0].Condition == { StringEquals = {
      "token.actions.githubusercontent.com:aud" = ["sts.amazonaws.com"]
      "token.actions.githubusercontent.com:sub" = ["repo:example/registry:ref:refs/heads/main"]
    } }
    error_message = "The token must be that of this branch."
  }
  assert {
    condition     = length(aws_iam_openid_connect_provider.this) == 0
    error_message = "An issuer that the account knows is not added again."
  }
}

run "roles_of_their_own_for_repair_and_purge" {
  command = plan

  variables {
    repair = {
      issuer    = "https://token.actions.githubusercontent.com"
      subjects  = ["repo:example/registry:environment:repair"]
      audiences = ["sts.amazonaws.com"]
    }
    purge = {
      issuer    = "https://token.actions.githubusercontent.com"
      subjects  = ["repo:example/registry:environment:purge"]
      audiences = ["sts.amazonaws.com"]
    }
  }

  assert {
    condition     = alltrue([for r in aws_iam_role.this : r.max_session_duration == 3600])
    error_message = "A session lasts one hour at most."
  }
  assert {
    condition = toset([
      for role, p in aws_iam_role_policy.this : role
      if anytrue([for s in jsondecode(p.policy).Statement : anytrue([
        for a in flatten([s.Action]) : startswith(a, "s3:Delete")
      ]) && anytrue([for r in flatten([s.Resource]) : endswith(r, "/containers/images/*")])])
    ]) == toset(["purge"])
    error_message = "Only purge deletes blobs."
  }
  assert {
    condition     = jsondecode(aws_s3_bucket_policy.store["use1"].policy).Statement[2].Condition.ArnNotEquals == { "aws:PrincipalArn" = ["arn:aws:iam::123456789012:role/oci-proxy-repair"] }
    error_message = "Only repair replaces a blob."
  }
}

run "a_wildcard_subject_is_refused" {
  command = plan

  variables {
    writer = {
      issuer    = "https://token.actions.githubusercontent.com"
      subjects  = ["repo:example/registry:ref:refs/heads/*"]
      audiences = ["sts.amazonaws.com"]
    }
  }

  expect_failures = [aws_iam_role.this]
}

run "no_audience_is_refused" {
  command = plan

  variables {
    writer = {
      issuer    = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC"
      subjects  = ["system:serviceaccount:registry:mirror"]
      audiences = []
    }
  }

  expect_failures = [aws_iam_role.this]
}

run "pull_requests_are_refused" {
  command = plan

  variables {
    writer = {
      issuer    = "https://token.actions.githubusercontent.com"
      subjects  = ["repo:example/registry:pull_request"]
      audiences = ["sts.amazonaws.com"]
    }
  }

  expect_failures = [aws_iam_role.this]
}

run "the_writer_does_not_purge" {
  command = plan

  variables {
    purge = {
      issuer    = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC"
      subjects  = ["system:serviceaccount:registry:mirror"]
      audiences = ["sts.amazonaws.com"]
    }
  }

  expect_failures = [aws_iam_role.this]
}

run "a_slash_does_not_hide_the_writer" {
  command = plan

  variables {
    purge = {
      issuer    = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC/"
      subjects  = ["system:serviceaccount:registry:mirror"]
      audiences = ["sts.amazonaws.com"]
    }
  }

  expect_failures = [aws_iam_role.this]
}
