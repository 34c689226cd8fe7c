# The function is what `oci-proxy routes --for store --format cloudfront` prints.
locals {
  function = file("${path.module}/allow.js")
}

resource "aws_cloudfront_function" "allow" {
  name    = "${var.name}-allow"
  runtime = "cloudfront-js-2.0"
  comment = "GET and HEAD of blobs and of the inventory"
  publish = true
  code    = local.function

  lifecycle {
    precondition {
      condition     = length(local.function) <= 10240
      error_message = "CloudFront takes functions of at most 10 kB."
    }
  }
}

# The key of the cache is the path alone. Nothing of a client's request reaches the bucket but the path and the range.
resource "aws_cloudfront_cache_policy" "path_only" {
  name        = "${var.name}-path-only"
  comment     = "The path only; the bucket's Cache-Control counts"
  min_ttl     = 0
  default_ttl = 60 # of an object without Cache-Control
  max_ttl     = 31536000
  parameters_in_cache_key_and_forwarded_to_origin {
    # Compression would change the bytes that a digest names.
    enable_accept_encoding_brotli = false
    enable_accept_encoding_gzip   = false
    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "none"
    }
  }
}
