package accesslogtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// cloudFrontFields are the fields of a standard log.
var cloudFrontFields = []string{
	"date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem", "sc-status", "cs(Referer)",
	"cs(User-Agent)", "cs-uri-query", "cs(Cookie)", "x-edge-result-type", "x-edge-request-id", "x-host-header", "cs-protocol",
	"cs-bytes", "time-taken", "x-forwarded-for", "ssl-protocol", "ssl-cipher", "x-edge-response-result-type",
	"cs-protocol-version", "fle-status", "fle-encrypted-fields", "c-port", "time-to-first-byte", "x-edge-detailed-result-type",
	"sc-content-type", "sc-content-len", "sc-range-start", "sc-range-end",
}

// CloudFrontHead returns the two comments that a tab-separated standard log begins with, with line ends.
func CloudFrontHead() string {
	return "#Version: 1.0\n#Fields: " + strings.Join(cloudFrontFields, " ") + "\n"
}

// CloudFront returns the line of a tab-separated standard log, without a line end.
func CloudFront(r *Request) string { return strings.Join(r.cloudFront(), "\t") }

// CloudFrontJSON returns the line of a standard log (v2) in JSON, without a line end. All its values are texts.
func CloudFrontJSON(r *Request) string {
	var out strings.Builder
	for i, value := range r.cloudFront() {
		key, _ := json.Marshal(cloudFrontFields[i]) // a text: no error
		text, _ := json.Marshal(value)
		fmt.Fprintf(&out, ",%s:%s", key, text)
	}
	return "{" + out.String()[1:] + "}"
}

func (r *Request) cloudFront() []string {
	result, detail, kind, client, port := "Miss", "Miss", "application/octet-stream", "-", "-"
	if r.Hit {
		result, detail = "Hit", "Hit"
	}
	if r.Client.IsValid() {
		client, port = r.Client.Addr().String(), strconv.Itoa(int(r.Client.Port()))
	}
	status := strconv.Itoa(r.Status)
	if r.Aborted {
		result, detail = "Error", "ClientCommError"
		if r.Sent == 0 {
			status = "000"
		}
	}
	length, first, last := "-", "-", "-"
	if r.Method != http.MethodHead && r.Status < 300 && !r.Aborted {
		length = strconv.FormatInt(r.Sent, 10)
	}
	if from, to, ok := strings.Cut(strings.TrimPrefix(r.Range, "bytes="), "-"); ok && r.Status == http.StatusPartialContent && from != "" {
		first, last = from, dash(to)
	}
	at, took := r.Time.UTC(), strconv.FormatFloat(r.Took.Seconds(), 'f', 3, 64)
	return []string{
		at.Format(time.DateOnly), at.Format(time.TimeOnly), "FRA56-P1", strconv.FormatInt(r.Sent+r.Heading, 10), client, r.Method,
		r.Bucket + ".cloudfront.net", "/" + strings.ReplaceAll(r.Key, " ", "%20"), status, "-", strings.ReplaceAll(dash(r.Agent), " ", "%20"),
		dash(r.Query), "-", result, r.id("cf", 54) + "==", r.Host, "https", "94", took, "-", "TLSv1.3", "TLS_AES_128_GCM_SHA256", result,
		"HTTP/2.0", "-", "-", port, took, detail, kind, length, first, last,
	}
}
