mock_provider "aws" {}

variables {
  name            = "cdn"
  account         = "123456789012"
  bucket          = "layers-use1"
  region          = "us-east-1"
  host            = "layers.example.org"
  certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
}

run "promises" {
  command = plan
  assert {
    condition     = aws_cloudfront_distribution.store.viewer_certificate[0].minimum_protocol_version == "TLSv1.2_2021" && aws_cloudfront_distribution.store.default_cache_behavior[0].viewer_protocol_policy == "https-only"
    error_message = "TLS 1.2 or later, and no plain HTTP."
  }
  assert {
    condition     = aws_cloudfront_distribution.store.http_version == "http2and3" && aws_cloudfront_distribution.store.is_ipv6_enabled
    error_message = "HTTP/2, HTTP/3 and IPv6."
  }
  assert {
    condition     = aws_cloudfront_distribution.store.default_cache_behavior[0].allowed_methods == toset(["GET", "HEAD"]) && length(aws_cloudfront_distribution.store.ordered_cache_behavior) == 0
    error_message = "Clients only read."
  }
  assert {
    condition     = [for f in aws_cloudfront_distribution.store.default_cache_behavior[0].function_association : f.event_type] == ["viewer-request"]
    error_message = "The list of paths stands before the cache."
  }
  assert {
    condition = alltrue([for p in aws_cloudfront_cache_policy.path_only.parameters_in_cache_key_and_forwarded_to_origin :
      p.query_strings_config[0].query_string_behavior == "none" && p.headers_config[0].header_behavior == "none" && p.cookies_config[0].cookie_behavior == "none"
    ])
    error_message = "Neither query, headers nor cookies make another copy."
  }
  assert {
    condition     = alltrue([for p in aws_cloudfront_cache_policy.path_only.parameters_in_cache_key_and_forwarded_to_origin : !p.enable_accept_encoding_gzip && !p.enable_accept_encoding_brotli]) && !aws_cloudfront_distribution.store.default_cache_behavior[0].compress
    error_message = "The bytes stay those of the digest."
  }
  assert {
    condition     = alltrue([for e in aws_cloudfront_distribution.store.custom_error_response : e.error_caching_min_ttl <= 10])
    error_message = "A 4xx is kept for at most 10 s."
  }
  assert {
    condition     = length(setsubtract([400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504], [for e in aws_cloudfront_distribution.store.custom_error_response : e.error_code])) == 0
    error_message = "Every status that CloudFront can keep has a limit."
  }
  assert {
    condition     = aws_cloudfront_origin_access_control.bucket.signing_behavior == "always" && aws_cloudfront_origin_access_control.bucket.signing_protocol == "sigv4"
    error_message = "CloudFront signs every request."
  }
  assert {
    condition     = [for o in aws_cloudfront_distribution.store.origin : o.domain_name] == ["layers-use1.s3.us-east-1.amazonaws.com"]
    error_message = "The origin is the bucket's regional name."
  }
  assert {
    condition     = aws_cloudwatch_log_delivery_destination.log[0].output_format == "w3c" && aws_cloudwatch_log_delivery.log[0].field_delimiter == "\t"
    error_message = "The format is that of standard logs."
  }
  assert {
    condition     = length(setsubtract(["date", "time", "c-ip", "cs-method", "cs-uri-stem", "sc-status", "sc-bytes", "x-edge-request-id", "x-host-header"], aws_cloudwatch_log_delivery.log[0].record_fields)) == 0 && !contains(aws_cloudwatch_log_delivery.log[0].record_fields, "cs(Cookie)") && !contains(aws_cloudwatch_log_delivery.log[0].record_fields, "cs-uri-query")
    error_message = "The logs have what report reads, and neither cookies nor queries."
  }
  assert {
    condition     = [for b in [aws_s3_bucket_public_access_block.log[0]] : [b.block_public_acls, b.block_public_policy, b.ignore_public_acls, b.restrict_public_buckets]] == [[true, true, true, true]] && aws_s3_bucket_lifecycle_configuration.log[0].rule[0].expiration[0].days == 90
    error_message = "The logs are private and expire."
  }
  assert {
    condition     = [for s in jsondecode(aws_s3_bucket_policy.log[0].policy).Statement : s.Condition if s.Effect == "Allow"][0].StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "Only deliveries of this account write logs."
  }
}

run "long_errors_are_refused" {
  command = plan
  variables {
    error_seconds = 60
  }
  expect_failures = [var.error_seconds]
}

run "a_certificate_elsewhere_is_refused" {
  command = plan
  variables {
    certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
  }
  expect_failures = [var.certificate_arn]
}
