package store

import "regexp"

// secrets matches what must not appear in any log: keys, tokens and signatures, in URLs, headers and JSON.
var secrets = regexp.MustCompile(`(?i)((?:x-amz-(?:signature|security-token|credential)|sig|upload_id|authorization|secretaccesskey|` +
	`sessiontoken|accesskeyid|access_token|refresh_token|id_token|client_secret|password)"?\s*[=:]\s*"?(?:(?:bearer|basic|aws4-hmac-sha256)\s+)?)[^&"\s,}]+`)
