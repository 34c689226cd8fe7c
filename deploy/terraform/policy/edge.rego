# CDNs in front of stores: CloudFront and Cloudflare R2.
package main

import rego.v1

behaviors(d) := array.concat(object.get(d.values, "default_cache_behavior", []), object.get(d.values, "ordered_cache_behavior", []))

deny contains sprintf("%s: viewer_protocol_policy must be https-only or redirect-to-https", [d.address]) if {
	some d in of("aws_cloudfront_distribution")
	some b in behaviors(d)
	not b.viewer_protocol_policy in {"https-only", "redirect-to-https"}
}

deny contains sprintf("%s: only GET and HEAD (and OPTIONS) may pass", [d.address]) if {
	some d in of("aws_cloudfront_distribution")
	some b in behaviors(d)
	count({m | some m in b.allowed_methods} - {"GET", "HEAD", "OPTIONS"}) > 0
}

deny contains sprintf("%s: minimum_protocol_version must be TLSv1.2_2021 or later", [d.address]) if {
	some d in of("aws_cloudfront_distribution")
	some c in d.values.viewer_certificate
	not regex.match(`^TLSv1\.(2_202[1-9]|3_.*)$`, c.minimum_protocol_version)
}

deny contains sprintf("%s: requests to the bucket are not signed always", [r.address]) if {
	some r in of("aws_cloudfront_origin_access_control")
	[r.values.signing_behavior, r.values.signing_protocol] != ["always", "sigv4"]
}

deny contains sprintf("%s: the key of the cache has the query, so anybody can fill the cache with copies", [r.address]) if {
	some r in of("aws_cloudfront_cache_policy")
	some p in r.values.parameters_in_cache_key_and_forwarded_to_origin
	some q in p.query_strings_config
	q.query_string_behavior != "none"
}

deny contains sprintf("%s: r2.dev must be off: it is a second way in", [r.address]) if {
	some r in of("cloudflare_r2_managed_domain")
	r.values.enabled != false
}

deny contains sprintf("%s: min_tls must be 1.2 or 1.3", [r.address]) if {
	some r in of("cloudflare_r2_custom_domain")
	not object.get(r.values, "min_tls", "") in {"1.2", "1.3"}
}

deny contains sprintf("%s: inventory/ must not be locked: its head is replaced", [r.address]) if {
	some r in of("cloudflare_r2_bucket_lock")
	some rule in r.values.rules
	not startswith(object.get(rule, "prefix", ""), "containers/images/")
}
