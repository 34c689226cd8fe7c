package edge

import (
	"fmt"
	"strings"
)

// made is the first line of each generated file, after the mark of a comment.
const made = "Written by oci-proxy routes from the server's route table. Do not edit: run it again after an upgrade."

// Nginx returns a map for the http block of nginx. It sets $oci_proxy_allowed to 1 for the routes.
//
// It reads $request_uri, the path as the client sent it: the path of a location is decoded, and has fewer slashes.
func Nginx(routes []Route) (string, error) {
	pattern, err := either(routes)
	if err != nil {
		return "", err
	}
	word := "~^(?:GET|HEAD) " + strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$") + "(?:[?]|$)"
	if err := checkWord(word); err != nil {
		return "", err
	}
	return fmt.Sprintf(`# %s
# Include this file in the http block. In the server block:
#
#   if ($oci_proxy_allowed = 0) { return 404; }
#   location / { proxy_pass http://oci-proxy; }
map "$request_method $request_uri" $oci_proxy_allowed {
    default 0;
    "%s" 1;
}
`, made, word), nil
}

// CloudFront returns a function for viewer requests, in CloudFront's JavaScript runtime 2.0. For a store, it also
// removes the query, which means something to a bucket, and gives both spellings of a digest's colon one copy in the cache.
func CloudFront(routes []Route, store bool) (string, error) {
	pattern, err := either(routes)
	if err != nil {
		return "", err
	}
	long, one := fmt.Sprintf(" || request.uri.length > %d", MaxPath), ""
	if store { // its patterns say how long a path is
		long, one = "", `  request.uri = request.uri.replace(/%3[Aa]([^/]*)$/, ':$1'); // one copy in the cache for both spellings
  request.querystring = {}; // to a bucket it could mean another object or another operation
`
	}
	code := fmt.Sprintf(`// %s
const allowed = new RegExp('%s');

function handler(event) {
  const request = event.request;
  const read = request.method === 'GET' || request.method === 'HEAD';
  if (!read%s || !allowed.test(request.uri)) {
    return { statusCode: 404, statusDescription: 'Not Found', headers: { 'cache-control': { value: 'no-store' } } };
  }
%s  return request;
}
`, made, pattern, long, one)
	return code, CheckFunction([]byte(code))
}

// VCL returns statements for the subroutine vcl_recv of Fastly. The long strings {"…"} keep Fastly from reading % as an
// escape.
func VCL(routes []Route, store bool) (string, error) {
	pattern, err := either(routes)
	if err != nil {
		return "", err
	}
	query := ""
	if store {
		query = "set req.url = req.url.path; # without the query, which could mean another object to a bucket\n"
	}
	return fmt.Sprintf(`# %s
# Include it in vcl_recv. FASTLYPURGE is how Fastly passes on the purge of a URL.
if (req.method !~ "^(GET|HEAD|FASTLYPURGE)$" || req.url.path !~ {"%s"}) {
  error 404;
}
if (req.method == "FASTLYPURGE") { # otherwise anybody can purge a URL
  set req.http.Fastly-Purge-Requires-Auth = "1";
}
%s`, made, pattern, query), nil
}
