# Each rule denies what it is for, and the plans of deploy/terraform/examples pass (test/infra).
package main

import rego.v1

plan(rs) := {"planned_values": {"root_module": {"child_modules": [{"resources": rs}]}}}

resource(type, values) := {"mode": "managed", "address": concat("", [type, ".x"]), "type": type, "values": values}

denied(rs, part) if {
	some msg in deny with input as plan(rs)
	contains(msg, part)
}

policy(statements) := json.marshal({"Version": "2012-10-17", "Statement": statements})

bucket_policy(statements) := [resource("aws_s3_bucket_policy", {"bucket": "b", "policy": policy(statements)})]

role(condition, federated) := [resource("aws_iam_role", {"assume_role_policy": policy([{
	"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
	"Principal": {"Federated": federated}, "Condition": condition,
}])})]

rights(statements) := [resource("aws_iam_role_policy", {"policy": policy(statements)})]

test_not_a_plan if count(deny) > 0 with input as {"version": 4}

test_an_empty_plan if count(deny) == 0 with input as plan([])

test_anybody_may_get_only if {
	denied(bucket_policy([{"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b"}]), "anybody may s3:ListBucket")
	denied(bucket_policy([{"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:DeleteObject"], "Resource": "arn:aws:s3:::b/*"}]), "anybody may s3:DeleteObject")
	denied(bucket_policy([{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}]), "anybody may read arn:aws:s3:::b/*")
	not denied(bucket_policy([{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": ["arn:aws-cn:s3:::b/inventory/*"]}]), "anybody")
	denied(bucket_policy([{"Effect": "Allow", "Principal": "*", "NotAction": "s3:PutObject", "Resource": "arn:aws:s3:::b/*"}]), "NotAction")
}

tls(condition, resources) := bucket_policy([{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": resources, "Condition": condition}])

test_tls if {
	secure := {"Bool": {"aws:SecureTransport": "false"}}
	both := ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]
	not denied(tls(secure, both), "without TLS")
	denied(tls(secure, ["arn:aws:s3:::b/*"]), "without TLS")
	denied(tls(secure, ["arn:aws:s3:::other", "arn:aws:s3:::other/*"]), "without TLS")
	denied(tls({"Bool": {"aws:SecureTransport": "true"}}, both), "without TLS")
	denied(tls({"Bool": {"aws:SecureTransport": "false"}, "StringEquals": {"aws:SourceVpc": "v"}}, both), "without TLS")
}

test_block_public_access if {
	all := {"bucket": "b", "block_public_acls": true, "ignore_public_acls": true, "block_public_policy": true, "restrict_public_buckets": true}
	not denied([resource("aws_s3_bucket_public_access_block", all)], "must be true")
	denied([resource("aws_s3_bucket_public_access_block", object.union(all, {"block_public_acls": false}))], "block_public_acls")
	denied([resource("aws_s3_bucket_public_access_block", object.union(all, {"block_public_policy": false}))], "block_public_policy must be true, because the bucket's policy lets nobody read")
	denied([resource("aws_s3_bucket", {"bucket": "b"})], "no Block Public Access")
}

test_lists_of_buckets if {
	denied([resource("aws_s3_bucket_acl", {"bucket": "b"})], "no ACL")
	denied([resource("aws_s3_bucket_website_configuration", {"bucket": "b"})], "no website")
	denied([resource("aws_s3_bucket_server_side_encryption_configuration", {"rule": [{"apply_server_side_encryption_by_default": [{"sse_algorithm": "aws:kms"}]}]})], "AES256")
	denied([resource("aws_s3_bucket_versioning", {"versioning_configuration": [{"status": "Suspended"}]})], "versioning must be Enabled")
	not denied([resource("aws_s3_bucket_versioning", {"versioning_configuration": [{"status": "Enabled"}]})], "versioning")
	denied([resource("aws_s3_bucket_lifecycle_configuration", {"rule": [{"status": "Disabled", "abort_incomplete_multipart_upload": [{}], "noncurrent_version_expiration": []}]})], "abort_incomplete")
}

test_replication if {
	rule := {"id": "r", "filter": [{"prefix": "containers/images/"}], "delete_marker_replication": [{"status": "Disabled"}], "destination": [{"bucket": "arn:aws:s3:::c"}]}
	not denied([resource("aws_s3_bucket_replication_configuration", {"bucket": "b", "rule": [rule]})], "rule")
	denied([resource("aws_s3_bucket_replication_configuration", {"bucket": "b", "rule": [object.union(rule, {"filter": []})]})], "must have the filter")
	denied([resource("aws_s3_bucket_replication_configuration", {"bucket": "b", "rule": [object.remove(rule, ["delete_marker_replication"])]})], "delete markers")
	denied([resource("aws_s3_bucket", {"bucket": "b"}), resource("aws_s3_bucket_replication_configuration", {"bucket": "b", "rule": [rule]})], "has no versions")
}

test_wildcards if {
	denied(rights([{"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*"}]), "the wildcard in the action s3:Get*")
	denied(rights([{"Effect": "Allow", "Action": ["*"], "Resource": "arn:aws:s3:::b/*"}]), "the wildcard")
	denied(rights([{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]), "on the resource *")
	denied(rights([{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::*/x"}]), "on the resource arn:aws:s3:::*/x")
	not denied(rights([{"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}]), "on the resource")
	denied(rights([{"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken", "s3:GetObject"], "Resource": "*"}]), "on the resource")
	denied([resource("aws_iam_role_policy_attachment", {"policy_arn": "arn:aws:iam::aws:policy/AmazonS3FullAccess"})], "more rights")
	denied([resource("aws_iam_role", {"assume_role_policy": policy([]), "inline_policy": [{"policy": policy([{"Effect": "Allow", "Action": "s3:*", "Resource": "x"}])}]})], "the wildcard")
}

put_and(action, resource_) := rights([
	{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/containers/images/*"},
	{"Effect": "Allow", "Action": action, "Resource": resource_},
])

test_writer_cannot_delete if {
	denied(put_and("s3:DeleteObject", "arn:aws:s3:::b/containers/images/*"), "it may write blobs and delete them")
	denied(put_and("s3:DeleteObjectVersion", "arn:aws:s3:::b/*"), "it may write blobs and delete them")
	denied(put_and("s3:DeleteObject", "arn:aws:s3:::b/containers/images/sha256/a*"), "it may write blobs and delete them")
	not denied(put_and("s3:DeleteObject", "arn:aws:s3:::b/inventory/*"), "delete")
}

test_trust if {
	aws := "arn:aws:iam::1:oidc-provider/issuer"
	both := {"issuer:sub": "s", "issuer:aud": ["a"]}
	not denied(role({"StringEquals": both}, aws), "trust")
	denied(role({"StringEquals": {"issuer:sub": "s"}}, aws), "the claim aud")
	denied(role({"StringEquals": {"issuer:aud": "s"}}, aws), "the claim sub")
	denied(role({"StringEquals": {"issuer:sub": [], "issuer:aud": "a"}}, aws), "the claim sub")
	denied(role({"StringLike": both}, aws), "the claim sub")
	denied(role({"StringEquals": both, "StringLike": {"issuer:sub": "*"}}, aws), "StringLike")
	denied(role({"StringEquals": {"accounts.google.com:sub": "s", "accounts.google.com:aud": "a"}}, "accounts.google.com"), "the claim oaud")
	denied([resource("aws_iam_role", {"assume_role_policy": policy([{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}])})], "anybody may take the role")
}

test_gcs if {
	good := {"name": "b", "uniform_bucket_level_access": true, "public_access_prevention": "enforced"}
	denied([resource("google_storage_bucket", object.union(good, {"uniform_bucket_level_access": false}))], "uniform_bucket_level_access")
	denied([resource("google_storage_bucket", object.union(good, {"public_access_prevention": "inherited"}))], "public_access_prevention must be enforced")
	denied([resource("google_storage_bucket", good)], "neither versions nor soft deletion")
	denied([resource("google_storage_bucket", good)], "no access log")
	denied([resource("google_storage_bucket", object.union(good, {"versioning": [{"enabled": true}]}))], "no rule removes old versions")
	denied([resource("google_storage_bucket_iam_binding", {"bucket": "b", "role": "roles/storage.objectViewer", "members": ["allAuthenticatedUsers"]})], "anybody")
	not denied([resource("google_storage_bucket_iam_member", {"bucket": "b", "role": "roles/storage.legacyObjectReader", "member": "allUsers"})], "anybody")
	denied([resource("google_project_iam_member", {"role": "roles/storage.admin", "member": "x"})], "every bucket")
	denied([resource("google_storage_bucket_acl", {})], "ACLs")
	denied([resource("google_project_iam_custom_role", {"role_id": "w", "permissions": ["storage.objects.create", "storage.objects.delete"]})], "a writer must not delete")
}

bound(condition) := [
	resource("google_project_iam_custom_role", {"role_id": "d", "permissions": ["storage.objects.delete"]}),
	resource("google_storage_bucket_iam_member", {"bucket": "b", "role": "projects/p/roles/d", "member": "m", "condition": condition}),
]

test_gcs_deleters if {
	denied(bound([]), "no condition")
	denied(bound([{"title": "inventory-only", "expression": `resource.name.startsWith("projects/_/buckets/b/objects/")`}]), "no condition")
	not denied(bound([{"title": "inventory-only", "expression": `resource.name.startsWith("projects/_/buckets/b/objects/inventory/")`}]), "no condition")
}

test_workload_identity if {
	good := {"attribute_condition": "assertion.sub in ['s']", "oidc": [{"allowed_audiences": ["a"]}]}
	not denied([resource("google_iam_workload_identity_pool_provider", good)], "no ")
	denied([resource("google_iam_workload_identity_pool_provider", object.remove(good, ["attribute_condition"]))], "no attribute_condition")
	denied([resource("google_iam_workload_identity_pool_provider", object.union(good, {"oidc": [{"allowed_audiences": []}]}))], "no allowed_audiences")
}

test_azure if {
	denied([resource("azurerm_storage_account", {"min_tls_version": "TLS1_0"})], "min_tls_version must be TLS1_2")
	denied([resource("azurerm_storage_account", {})], "shared_access_key_enabled must be false")
	denied([resource("azurerm_storage_account", {})], "no versions")
	denied([resource("azurerm_storage_container", {"container_access_type": "container"})], "lets anybody list")
	not denied([resource("azurerm_storage_container", {"container_access_type": "blob"})], "list")
	denied([resource("azurerm_role_definition", {"permissions": [{"actions": ["*"], "data_actions": []}]})], "the wildcard")
	denied([resource("azurerm_role_definition", {"permissions": [{"actions": [], "data_actions": [concat("", [blobs, "write"]), concat("", [blobs, "delete"])]}]})], "a writer must not delete")
	denied([resource("azurerm_role_assignment", {"role_definition_name": "Storage Blob Data Owner"})], "built-in role")
	denied([resource("azurerm_federated_identity_credential", {"issuer": "https://i", "subject": "repo:*", "audience": ["a"]})], "subject is empty or has a wildcard")
	remover := resource("azurerm_role_definition", {"role_definition_resource_id": "r", "permissions": [{"data_actions": [concat("", [blobs, "delete"])]}]})
	denied([remover, resource("azurerm_role_assignment", {"role_definition_id": "r"})], "no condition on the path")
}

test_edge if {
	denied([resource("aws_cloudfront_distribution", {"default_cache_behavior": [{"viewer_protocol_policy": "allow-all", "allowed_methods": ["GET"]}], "viewer_certificate": []})], "viewer_protocol_policy")
	denied([resource("aws_cloudfront_distribution", {"default_cache_behavior": [{"viewer_protocol_policy": "https-only", "allowed_methods": ["PUT"]}], "viewer_certificate": []})], "GET and HEAD")
	denied([resource("aws_cloudfront_distribution", {"viewer_certificate": [{"minimum_protocol_version": "TLSv1"}]})], "minimum_protocol_version")
	denied([resource("aws_cloudfront_cache_policy", {"parameters_in_cache_key_and_forwarded_to_origin": [{"query_strings_config": [{"query_string_behavior": "all"}]}]})], "has the query")
	denied([resource("aws_cloudfront_origin_access_control", {"signing_behavior": "never", "signing_protocol": "sigv4"})], "not signed always")
	denied([resource("cloudflare_r2_managed_domain", {"enabled": true})], "r2.dev")
	denied([resource("cloudflare_r2_custom_domain", {})], "min_tls")
	denied([resource("cloudflare_r2_bucket_lock", {"rules": [{"prefix": ""}]})], "must not be locked")
}

test_fronts_at_google if {
	container := {"image": "r@sha256:0000000000000000000000000000000000000000000000000000000000000000", "resources": [{"cpu_idle": false}]}
	good := {"ingress": "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "default_uri_disabled": true, "template": [{"scaling": [{"min_instance_count": 1}], "containers": [container]}]}
	count(deny) == 0 with input as plan([resource("google_cloud_run_v2_service", good)])
	denied([resource("google_cloud_run_v2_service", object.union(good, {"ingress": "INGRESS_TRAFFIC_ALL"}))], "ingress must be")
	denied([resource("google_cloud_run_v2_service", object.remove(good, ["default_uri_disabled"]))], "default_uri_disabled")
	denied([resource("google_cloud_run_v2_service", object.union(good, {"template": [{"scaling": [], "containers": [container]}]}))], "min_instance_count")
	denied([resource("google_cloud_run_v2_service", object.union(good, {"template": [{"scaling": [{"min_instance_count": 1}], "containers": [{"image": "r:latest"}]}]}))], "has no digest")
	denied([resource("google_cloud_run_v2_service", object.union(good, {"template": [{"scaling": [{"min_instance_count": 1}], "containers": [{"image": "r:latest"}]}]}))], "cpu_idle")
	denied([resource("google_compute_backend_service", {"security_policy": null})], "no security_policy")
	denied([resource("google_compute_backend_service", {"enable_cdn": true})], "enable_cdn")
	denied([resource("google_compute_security_policy", {"rule": [{"priority": 2147483647, "action": "allow"}]})], "the last rule must deny")
	denied([resource("google_compute_ssl_policy", {"min_tls_version": "TLS_1_0"})], "TLS_1_2")
}

armor(action, match) := [resource("google_compute_security_policy", {"rule": [
	{"priority": 1, "action": action, "match": [match]},
	{"priority": 2147483647, "action": "deny(404)"},
]})]

test_edge_rules if {
	blobs := {"expr": [{"expression": "request.method.matches('^GET$') && request.path.matches('^/v2/')"}]}
	not denied(armor("throttle", blobs), "google_compute_security_policy")
	not denied(armor("deny(403)", {"expr": [{"expression": "true"}]}), "google_compute_security_policy")
	denied(armor("allow", blobs), "the rule 1 has no rate limit")
	denied(armor("throttle", {"versioned_expr": "SRC_IPS_V1", "config": [{"src_ip_ranges": ["*"]}]}), "the rule 1 lets all paths through")
	denied(armor("rate_based_ban", {"expr": [{"expression": "true"}]}), "the rule 1 lets all paths through")
	denied(armor("throttle", {"expr": [{"expression": "request.path.matches('^/v2/') || true"}]}), "the rule 1 lets all paths through")
}

test_fronts_at_aws if {
	denied([resource("aws_ecs_task_definition", {"container_definitions": `[{"image": "x:1"}]`})], "has no digest")
	denied([resource("aws_ecs_service", {"desired_count": 0})], "desired_count")
	denied([resource("aws_ecs_service", {"desired_count": 1, "network_configuration": [{"assign_public_ip": true}]})], "assign_public_ip")
	denied([resource("aws_vpc_security_group_ingress_rule", {"cidr_ipv4": "0.0.0.0/0", "from_port": 8080, "to_port": 8080, "ip_protocol": "tcp"})], "everybody reaches port 8080")
	denied([resource("aws_vpc_security_group_ingress_rule", {"cidr_ipv6": "::/0", "ip_protocol": "-1", "from_port": null})], "everybody reaches")
	not denied([resource("aws_vpc_security_group_ingress_rule", {"cidr_ipv6": "::/0", "from_port": 443, "to_port": 443, "ip_protocol": "tcp"})], "everybody")
	denied([resource("aws_security_group", {"ingress": [{"from_port": 443}]})], "write ingress as")
	denied([resource("aws_lb_listener", {"protocol": "HTTP", "default_action": [{"type": "forward"}]})], "only redirect to HTTPS")
	not denied([resource("aws_lb_listener", {"protocol": "HTTP", "default_action": [{"redirect": [{"protocol": "HTTPS"}]}]})], "redirect")
	denied([resource("aws_lb_listener", {"protocol": "HTTPS", "ssl_policy": "ELBSecurityPolicy-2016-08", "default_action": []})], "ssl_policy")
}

test_unknown_policies_are_named if {
	some msg in warn with input as plan([resource("aws_iam_role_policy", {"name": "x"})])
	contains(msg, "known only after apply")
}
