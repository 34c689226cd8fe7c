# Roles of AWS: what they may do, and who may take them.
package main

import rego.v1

# The policies of identities by their resource.
identity_policies contains {"address": r.address, "text": r.values.policy} if {
	some type in ["aws_iam_role_policy", "aws_iam_policy", "aws_iam_user_policy", "aws_iam_group_policy"]
	some r in of(type)
}

identity_policies contains {"address": r.address, "text": p.policy} if {
	some r in of("aws_iam_role")
	some p in object.get(r.values, "inline_policy", [])
}

# Actions that know no resources.
without_resource := {"ecr:GetAuthorizationToken"}

deny contains sprintf("%s: the wildcard in the action %s allows more than is needed", [p.address, action]) if {
	some p in identity_policies
	some s in allows(p.text)
	some action in actions(s)
	contains(action, "*")
}

deny contains sprintf("%s: %s on the resource %s reaches buckets and services of others", [p.address, concat(", ", actions(s)), resource]) if {
	some p in identity_policies
	some s in allows(p.text)
	some resource in on(s)
	regex.match(`^(\*|arn:[^:]*:s3:::[^/]*[*?].*|arn:[^:]*:\*.*)$`, resource)
	not {a | some a in actions(s)} & without_resource == {a | some a in actions(s)}
}

deny contains sprintf("%s: it may write blobs and delete them (%s): a writer must not delete below containers/images/", [p.address, action]) if {
	some p in identity_policies
	some w in allows(p.text)
	"s3:PutObject" in actions(w)
	some written in on(w)
	reaches_blobs(written)
	some d in allows(p.text)
	some action in actions(d)
	regex.match("^s3:(DeleteObject|DeleteObjectVersion|PutLifecycleConfiguration|ObjectOwnerOverrideToBucketOwner|ReplicateDelete)$", action)
	some resource in on(d)
	reaches_blobs(resource)
}

deny contains sprintf("%s: %s gives more rights than a part of oci-proxy needs", [r.address, r.values.policy_arn]) if {
	some r in of("aws_iam_role_policy_attachment")
	regex.match(`(AdministratorAccess|PowerUserAccess|FullAccess)$`, r.values.policy_arn)
}

# Who may take a role

deny contains sprintf("%s: anybody may take the role", [r.address]) if {
	some r in of("aws_iam_role")
	some s in allows(r.values.assume_role_policy)
	anybody(s)
}

federated contains {"address": r.address, "statement": s} if {
	some r in of("aws_iam_role")
	some s in allows(r.values.assume_role_policy)
	s.Principal.Federated
}

deny contains sprintf("%s: the trust does not name the claim %s by StringEquals: tokens for others would be accepted", [f.address, claim]) if {
	some f in federated
	some claim in claims(f.statement)
	not named(f.statement, claim)
}

claims(s) := ["sub", "aud", "oaud"] if s.Principal.Federated == "accounts.google.com"

claims(s) := ["sub", "aud"] if s.Principal.Federated != "accounts.google.com"

# A condition counts for all its keys, and a list of values is not empty.
named(s, claim) if {
	some key, values in s.Condition.StringEquals
	endswith(key, concat(":", ["", claim]))
	wanted := list(values)
	count(wanted) > 0
	every value in wanted { value != "" }
}

deny contains sprintf("%s: StringLike in a trust accepts more subjects than you think of", [f.address]) if {
	some f in federated
	f.statement.Condition.StringLike
}
