# Fastly in front of a store. README.md says how to install it. What stands between "Fastly only" and "end" is left out
# when our tests run this file on Varnish.

sub vcl_recv {
#FASTLY recv
  # Fastly only
  if (req.method == "FASTLYPURGE") {
    # Otherwise anybody could purge a URL, and make the bucket send a blob again and again:
    # https://docs.fastly.com/en/guides/authenticating-api-purge-requests
    set req.http.Fastly-Purge-Requires-Auth = "1";
    return(lookup);
  }
  # end
  if (req.method != "GET" && req.method != "HEAD") {
    error 405 "Method Not Allowed";
  }
  # The key of the cache is the path. Some clients escape the colon of a digest.
  set req.url = regsub(req.url, "\?.*$", "");
  set req.url = regsub(req.url, "^/containers/images/sha(256|512)%3[Aa]", "/containers/images/sha\1:");
  # These are the paths of oci-proxy routes --for store.
  if (req.url !~ "^/containers/images/(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$" && req.url !~ "^/inventory/(head[.]json|seg/[0-9a-f]{64})$") {
    error 403 "Forbidden";
  }
  # Nothing of a client but the path and the range reaches the bucket.
  unset req.http.Cookie;
  unset req.http.Authorization;
  unset req.http.Accept-Encoding;
  # Fastly only
  # Without segments Fastly cannot cache an object of more than 20 MB, and fails the request.
  if (req.url ~ "^/containers/images/") {
    set req.enable_segmented_caching = true;
    set segmented_caching.block_size = 10485760;
  }
  # end
  return(lookup);
}

sub vcl_hash {
  set req.hash += req.url;
  set req.hash += req.http.host;
#FASTLY hash
  return(hash);
}

sub vcl_fetch {
#FASTLY fetch
  # The head of the inventory changes.
  if (beresp.http.Cache-Control ~ "(?i)no-cache|no-store|private") {
    return(pass);
  }
  if (beresp.status >= 500) {
    return(pass);
  }
  # A blob may be uploaded a moment after a client asked for it.
  if (beresp.status >= 400) {
    set beresp.cacheable = true;
    set beresp.ttl = 10s;
    set beresp.grace = 0s;
    return(deliver);
  }
  # Bytes that a digest names never change.
  if (req.url ~ "^/containers/images/") {
    set beresp.ttl = 31536000s;
  }
  return(deliver);
}

sub vcl_deliver {
#FASTLY deliver
  return(deliver);
}

# Fastly only
# One line for each request of a client: not for the requests of a shield, nor for those by which segments are fetched.
# The fields are those of HttpRequest in Cloud Logging, which `oci-proxyctl replay` reads.
sub vcl_log {
#FASTLY log
  if (!segmented_caching.is_inner_req && fastly.ff.visits_this_service == 0) {
    log {"syslog "} req.service_id {" oci-proxy-store :: {"timestamp":""} strftime({"%Y-%m-%dT%H:%M:%SZ"}, time.start)
      {"","httpRequest":{"requestMethod":""} json.escape(req.method)
      {"","requestUrl":"https://"} json.escape(req.http.host) json.escape(req.url)
      {"","status":"} resp.status
      {","responseSize":""} resp.bytes_written
      {"","userAgent":""} json.escape(req.http.User-Agent)
      {"","remoteIp":""} client.ip
      {"","protocol":""} json.escape(req.proto)
      {"","latency":""} time.elapsed.msec {"ms","cacheHit":"} if(fastly_info.state ~ "^HIT", "true", "false")
      {"},"fastly":{"datacenter":""} server.datacenter {"","state":""} fastly_info.state
      {"","range":""} json.escape(req.http.Range) {"","tls":""} tls.client.protocol {"""} "}}";
  }
}
# end
