package accesslogtest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Owner is the canonical user of all buckets of Amazon.
const Owner = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"

// s3Time is the time of S3's log, without its brackets.
const s3Time = "02/Jan/2006:15:04:05 -0700"

// S3 returns the line of an S3 server access log, without a line end.
func S3(r *Request) string {
	operation, uri, key := r.s3Operation(), `"`+r.Method+" "+r.target("/")+` HTTP/1.1"`, dash(escape(r.Key))
	status, cipher, tls := strconv.Itoa(r.Status), "TLS_AES_128_GCM_SHA256", "TLSv1.3"
	host, agent, signature, auth := r.Bucket+".s3."+r.Region+".amazonaws.com", `"`+dash(r.Agent)+`"`, "-", "-"
	client, requester := "-", dash(r.Requester)
	if r.Client.IsValid() {
		client = r.Client.Addr().String()
	}
	if r.Requester != "" {
		signature, auth = "SigV4", "AuthHeader"
	}
	if r.Act == Expire {
		client, requester, uri, status, cipher, tls, host, agent = "-", "AmazonS3", `"-"`, "-", "-", "-", "-", `"-"`
	}
	return strings.Join([]string{
		Owner, r.Bucket, "[" + r.Time.UTC().Format(s3Time) + "]", client, requester, strings.ToUpper(r.id("s3", 16)),
		operation, key, uri, status, r.s3Error(), positive(r.Sent), positive(r.Size), strconv.FormatInt(r.Took.Milliseconds(), 10),
		"7", `"-"`, agent, "-", r.id("host", 56) + "=", signature, cipher, auth, host, tls, "-", "-",
	}, " ")
}

// positive returns a number of bytes: S3 writes zero as a dash.
func positive(n int64) string {
	if n <= 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

func (r *Request) s3Operation() string {
	switch r.Act {
	case Write:
		return "REST.PUT.OBJECT"
	case List:
		return "REST.GET.BUCKET"
	case CopyFrom:
		return "REST.COPY.OBJECT_GET"
	case Expire:
		return "S3.EXPIRE.OBJECT"
	case Read:
	}
	return fmt.Sprintf("REST.%s.OBJECT", r.Method)
}

func (r *Request) s3Error() string {
	switch r.Status {
	case http.StatusNotFound:
		return "NoSuchKey"
	case http.StatusForbidden:
		return "AccessDenied"
	case http.StatusRequestedRangeNotSatisfiable:
		return "InvalidRange"
	}
	return "-"
}
