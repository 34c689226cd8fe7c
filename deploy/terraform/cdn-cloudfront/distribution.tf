# CloudFront signs its requests, so the bucket may be private. A public bucket takes signed requests too.
resource "aws_cloudfront_origin_access_control" "bucket" {
  name                              = var.name
  description                       = "Reads ${var.bucket}"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_distribution" "store" {
  comment         = "oci-proxy store ${var.name}"
  enabled         = true
  aliases         = [var.host]
  is_ipv6_enabled = true
  http_version    = "http2and3"
  price_class     = var.price_class
  web_acl_id      = var.web_acl_id
  tags            = var.tags

  origin {
    origin_id                = "bucket"
    domain_name              = "${var.bucket}.s3.${var.region}.amazonaws.com"
    origin_access_control_id = aws_cloudfront_origin_access_control.bucket.id
    dynamic "origin_shield" {
      for_each = var.shield ? [coalesce(var.shield_region, var.region)] : []
      content {
        enabled              = true
        origin_shield_region = origin_shield.value
      }
    }
  }

  default_cache_behavior {
    target_origin_id       = "bucket"
    allowed_methods        = ["GET", "HEAD"]
    cached_methods         = ["GET", "HEAD"]
    cache_policy_id        = aws_cloudfront_cache_policy.path_only.id
    compress               = false
    viewer_protocol_policy = "https-only"
    function_association {
      event_type   = "viewer-request"
      function_arn = aws_cloudfront_function.allow.arn
    }
  }

  # S3 says 403 for an object that is not there, because nobody may list.
  dynamic "custom_error_response" {
    for_each = toset([400, 403, 404, 405, 414, 416])
    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = var.error_seconds
    }
  }
  dynamic "custom_error_response" {
    for_each = toset([500, 501, 502, 503, 504])
    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 0
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    acm_certificate_arn      = var.certificate_arn
    minimum_protocol_version = "TLSv1.2_2021"
    ssl_support_method       = "sni-only"
  }
}
