# Who may take which role. Every trust names the issuer, the subject and the audience of the token.

variable "writer" {
  description = <<-EOT
    Who may take the role of `oci-proxyctl mirror`, `audit` and `promote`. null: there is no such role.

    - issuer: "https://oidc.eks.REGION.amazonaws.com/id/ID" (EKS), "https://container.googleapis.com/v1/projects/…"
      (GKE), "https://accounts.google.com" (ID tokens of Google service accounts: Cloud Run, GCE),
      "https://token.actions.githubusercontent.com" (GitHub Actions), or another OIDC issuer.
    - subjects: the `sub` of the tokens, without wildcards: "system:serviceaccount:NAMESPACE:NAME" (EKS, GKE), the unique
      number of the service account (Google), "repo:OWNER/NAME:ref:refs/heads/main" or "repo:OWNER/NAME:environment:NAME"
      (GitHub).
    - audiences: the `aud` of the tokens. Usually ["sts.amazonaws.com"]; what the token is requested for (Google).
    - authorized_parties: for Google's tokens only: their `azp`. The default is right for service accounts, where it is
      the subject.
  EOT
  type = object({
    issuer             = string
    subjects           = list(string)
    audiences          = list(string)
    authorized_parties = optional(list(string))
  })
  default = null
}

variable "repair" {
  description = "Who may take the role of `oci-proxyctl audit --repair`, which replaces blobs. As `writer`. null: there is no such role."
  type = object({
    issuer             = string
    subjects           = list(string)
    audiences          = list(string)
    authorized_parties = optional(list(string))
  })
  default = null
}

variable "purge" {
  description = "Who may take the role of `oci-proxyctl purge`, which deletes blobs. As `writer`. null: there is no such role."
  type = object({
    issuer             = string
    subjects           = list(string)
    audiences          = list(string)
    authorized_parties = optional(list(string))
  })
  default = null
}

variable "existing_oidc_providers" {
  description = "Issuers (https://…) that the account knows already, for example because eksctl has added them. IAM has each issuer once."
  type        = set(string)
  default     = []
}

locals {
  trusted = { for role, t in { writer = var.writer, repair = var.repair, purge = var.purge } : role => t if t != null }

  issuers = {
    for role, t in local.trusted : role => {
      host = trimprefix(t.issuer, "https://") # a slash at its end is part of the issuer
      kind = (
        trimsuffix(t.issuer, "/") == "https://accounts.google.com" ? "google"
        : startswith(t.issuer, "https://container.googleapis.com/") ? "kubernetes"
        : can(regex("^https://oidc[.-]eks\\.", t.issuer)) ? "kubernetes"
        : can(regex("^https://token\\.actions\\.githubusercontent\\.com(/|$)", t.issuer)) ? "github"
        : "other"
      )
    }
  }

  # What a subject looks like, so that a mistake is seen in the plan and not in the cloud.
  subject_forms = {
    google     = "^[0-9]{5,30}$"
    kubernetes = "^system:serviceaccount:[a-z0-9-]+:[a-z0-9.-]+$"
    github     = "^repo:[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+:(ref:refs/(heads|tags)/|environment:).+$"
  }

  who = { for role, t in local.trusted : role => [for s in t.subjects : "${trimsuffix(t.issuer, "/")} ${s}"] }

  # In conditions IAM calls a claim by the issuer without its scheme. For Google's tokens `aud` means the claim azp, and
  # `oaud` the claim aud: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html
  claims = {
    for role, t in local.trusted : role => local.issuers[role].kind == "google" ? {
      "accounts.google.com:sub"  = t.subjects
      "accounts.google.com:aud"  = coalesce(t.authorized_parties, t.subjects)
      "accounts.google.com:oaud" = t.audiences
      } : {
      "${local.issuers[role].host}:sub" = t.subjects
      "${local.issuers[role].host}:aud" = t.audiences
    }
  }

  trust = {
    for role, t in local.trusted : role => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Sid    = "TokensOf${title(role)}"
        Effect = "Allow"
        Principal = {
          Federated = local.issuers[role].kind == "google" ? "accounts.google.com" : "arn:${local.partition}:iam::${local.account}:oidc-provider/${local.issuers[role].host}"
        }
        Action    = "sts:AssumeRoleWithWebIdentity"
        Condition = { StringEquals = local.claims[role] }
      }]
    })
  }

  # IAM knows accounts.google.com by itself.
  new_issuers = {
    for issuer in distinct([for role, t in local.trusted : t.issuer if local.issuers[role].kind != "google"]) :
    issuer => distinct(flatten([for t in local.trusted : t.audiences if t.issuer == issuer]))
    if !contains(var.existing_oidc_providers, issuer)
  }
}

resource "aws_iam_openid_connect_provider" "this" {
  for_each = local.new_issuers

  url            = each.key
  client_id_list = each.value
  tags           = local.tags
}
