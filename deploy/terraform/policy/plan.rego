# What the rules share: the resources of a plan, and how to read policies.
package main

import rego.v1

# Resources of the plan, those that do not change too.
resources contains r if {
	walk(input.planned_values, [path, r])
	array.slice(path, count(path) - 2, count(path) - 1) == ["resources"]
	r.mode == "managed"
}

of(type) := {r | some r in resources; r.type == type}

deny contains "this is not a plan: write it with `tofu show -json PLAN > plan.json`" if not input.planned_values

list(x) := x if is_array(x)

list(x) := [x] if not is_array(x)

# The statements of a policy that allow something.
allows(text) := {s | some s in list(json.unmarshal(text).Statement); s.Effect == "Allow"}

denies(text) := {s | some s in list(json.unmarshal(text).Statement); s.Effect == "Deny"}

actions(s) := list(s.Action)

on(s) := list(s.Resource)

anybody(s) if s.Principal == "*"

anybody(s) if "*" in list(s.Principal.AWS)

# Does the resource of a statement include blobs? It has the form arn:aws:s3:::BUCKET/KEY, with * in it.
reaches_blobs("*")

reaches_blobs(resource) if {
	at := indexof(resource, "/")
	at > 0
	prefix := split(substring(resource, at + 1, -1), "*")[0]
	within(prefix, "containers/images/")
}

within(a, b) if startswith(a, b)

within(a, b) if startswith(b, a)

# JSON that the plan cannot know yet cannot be checked.
documents := {
	"aws_iam_role": "assume_role_policy", "aws_iam_role_policy": "policy", "aws_iam_policy": "policy",
	"aws_s3_bucket_policy": "policy",
}

warn contains msg if {
	some type, argument in documents
	some r in of(type)
	not is_string(object.get(r.values, argument, null))
	msg := sprintf("%s: %s is known only after apply, so it cannot be checked: apply, plan again, and check that", [r.address, argument])
}
