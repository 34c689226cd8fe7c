# Buckets of S3.
package main

import rego.v1

# Buckets that take logs. All others are stores.
takes_logs contains l.values.target_bucket if some l in of("aws_s3_bucket_logging")

takes_logs contains name if {
	some d in of("aws_cloudwatch_log_delivery_destination")
	some c in d.values.delivery_destination_configuration
	name := regex.replace(c.destination_resource_arn, "^arn:[^:]*:s3:::([^/]*).*$", "$1")
}

s3_stores := {b | some b in of("aws_s3_bucket"); not b.values.bucket in takes_logs}

# The resources of a type that are about a bucket.
about(type, bucket) := {r | some r in of(type); r.values.bucket == bucket.values.bucket}

needs := {
	"aws_s3_bucket_public_access_block": "no Block Public Access: ACLs could make objects public",
	"aws_s3_bucket_ownership_controls": "no ownership controls: set BucketOwnerEnforced, so that ACLs do not count",
	"aws_s3_bucket_policy": "no bucket policy: it must deny requests without TLS",
	"aws_s3_bucket_lifecycle_configuration": "no lifecycle: parts of unfinished uploads would stay forever",
}

store_needs := {
	"aws_s3_bucket_versioning": "no versioning: what is replaced or deleted by mistake is lost",
	"aws_s3_bucket_server_side_encryption_configuration": "the encryption is not set: anonymous clients cannot read with a KMS default",
	"aws_s3_bucket_logging": "no access log",
}

deny contains sprintf("%s: %s", [b.address, why]) if {
	some b in of("aws_s3_bucket")
	some type, why in needs
	count(about(type, b)) == 0
}

deny contains sprintf("%s: %s", [b.address, why]) if {
	some b in s3_stores
	some type, why in store_needs
	count(about(type, b)) == 0
}

deny contains sprintf("%s: %s must be true", [r.address, argument]) if {
	some r in of("aws_s3_bucket_public_access_block")
	some argument in ["block_public_acls", "ignore_public_acls"]
	object.get(r.values, argument, false) != true
}

deny contains sprintf("%s: %s must be true, because the bucket's policy lets nobody read", [r.address, argument]) if {
	some r in of("aws_s3_bucket_public_access_block")
	some argument in ["block_public_policy", "restrict_public_buckets"]
	object.get(r.values, argument, false) != true
	not policy_is_public(r.values.bucket)
}

policy_is_public(bucket) if {
	some p in of("aws_s3_bucket_policy")
	p.values.bucket == bucket
	some s in allows(p.values.policy)
	anybody(s)
}

deny contains sprintf("%s: object_ownership must be BucketOwnerEnforced", [r.address]) if {
	some r in of("aws_s3_bucket_ownership_controls")
	some rule in r.values.rule
	rule.object_ownership != "BucketOwnerEnforced"
}

deny contains sprintf("%s: no ACL, and none that is public: the policy says who may read", [r.address]) if some r in of("aws_s3_bucket_acl")

deny contains sprintf("%s: no website: it answers without TLS", [r.address]) if some r in of("aws_s3_bucket_website_configuration")

deny contains sprintf("%s: sse_algorithm must be AES256: anonymous clients cannot use a key of KMS", [r.address]) if {
	some r in of("aws_s3_bucket_server_side_encryption_configuration")
	some rule in r.values.rule
	some d in rule.apply_server_side_encryption_by_default
	d.sse_algorithm != "AES256"
}

deny contains sprintf("%s: versioning must be Enabled", [r.address]) if {
	some r in of("aws_s3_bucket_versioning")
	not "Enabled" in {c.status | some c in r.values.versioning_configuration}
}

deny contains sprintf("%s: no enabled rule with abort_incomplete_multipart_upload: parts of unfinished uploads would stay forever", [r.address]) if {
	some r in of("aws_s3_bucket_lifecycle_configuration")
	count({1 | some rule in r.values.rule; rule.status == "Enabled"; count(rule.abort_incomplete_multipart_upload) > 0}) == 0
}

deny contains sprintf("%s: no enabled rule with noncurrent_version_expiration: old versions would stay forever", [r.address]) if {
	some b in s3_stores
	some r in about("aws_s3_bucket_lifecycle_configuration", b)
	count({1 | some rule in r.values.rule; rule.status == "Enabled"; count(rule.noncurrent_version_expiration) > 0}) == 0
}

# The bucket's policy

deny contains sprintf("%s: anybody may %s; only s3:GetObject may be public", [p.address, action]) if {
	some p in of("aws_s3_bucket_policy")
	some s in allows(p.values.policy)
	anybody(s)
	some action in actions(s)
	action != "s3:GetObject"
}

deny contains sprintf("%s: anybody may read %s; only containers/images/ and inventory/ may be public", [p.address, resource]) if {
	some p in of("aws_s3_bucket_policy")
	some s in allows(p.values.policy)
	anybody(s)
	some resource in on(s)
	not regex.match(`:s3:::[^*?/]+/(containers/images|inventory)/\*$`, resource)
}

deny contains sprintf("%s: a statement allows with NotAction, NotPrincipal or NotResource", [p.address]) if {
	some type, argument in documents
	some p in of(type)
	some s in allows(p.values[argument])
	some word in ["NotAction", "NotPrincipal", "NotResource"]
	s[word]
}

deny contains sprintf("%s: no statement denies requests without TLS for the bucket and everything in it", [p.address]) if {
	some p in of("aws_s3_bucket_policy")
	not only_tls(p)
}

only_tls(p) if {
	some s in denies(p.values.policy)
	s.Principal == "*"
	s.Action == "s3:*"
	s.Condition == {"Bool": {"aws:SecureTransport": "false"}}
	suffix := sprintf(":s3:::%s", [p.values.bucket])
	some bucket in on(s)
	endswith(bucket, suffix)
	some objects in on(s)
	endswith(objects, concat("", [suffix, "/*"]))
}

deny contains sprintf("%s: no statement denies a PUT of a blob without If-None-Match: a writer could replace it", [p.address]) if {
	some b in s3_stores
	some p in about("aws_s3_bucket_policy", b)
	not never_replaced(p)
}

never_replaced(p) if {
	some s in denies(p.values.policy)
	s.Principal == "*"
	"s3:PutObject" in actions(s)
	s.Condition.Null == {"s3:if-none-match": "true"}
	some resource in on(s)
	endswith(resource, sprintf(":s3:::%s/containers/images/*", [p.values.bucket]))
}

# Replication

deny contains sprintf("%s: the rule %s must have the filter containers/images/, not %q: each store writes its own inventory", [r.address, rule.id, prefix]) if {
	some r in of("aws_s3_bucket_replication_configuration")
	some rule in r.values.rule
	prefixes := {f.prefix | some f in object.get(rule, "filter", [])}
	prefix := concat(" ", prefixes)
	prefix != "containers/images/"
}

deny contains sprintf("%s: the rule %s must not replicate delete markers: a deletion in one store would empty the others", [r.address, rule.id]) if {
	some r in of("aws_s3_bucket_replication_configuration")
	some rule in r.values.rule
	not "Disabled" in {d.status | some d in object.get(rule, "delete_marker_replication", [])}
}

deny contains sprintf("%s: the bucket %s that it copies from or to has no versions", [r.address, bucket]) if {
	some r in of("aws_s3_bucket_replication_configuration")
	destinations := {split(d.bucket, ":::")[1] | some rule in r.values.rule; some d in rule.destination}
	some bucket in (destinations | {r.values.bucket})
	bucket in {b.values.bucket | some b in of("aws_s3_bucket")}
	not bucket in {v.values.bucket | some v in of("aws_s3_bucket_versioning"); some c in v.values.versioning_configuration; c.status == "Enabled"}
}
