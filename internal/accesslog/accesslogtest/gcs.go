package accesslogtest

import (
	"fmt"
	"net/http"
	"strings"
)

// GCSHead returns the first line of a usage log, with its line end.
func GCSHead() string {
	return quoted("time_micros", "c_ip", "c_ip_type", "c_ip_region", "cs_method", "cs_uri", "sc_status", "cs_bytes", "sc_bytes",
		"time_taken_micros", "cs_host", "cs_referer", "cs_user_agent", "s_request_id", "cs_operation", "cs_bucket", "cs_object") + "\n"
}

// GCS returns the line of a usage log of Google Cloud Storage, without a line end.
func GCS(r *Request) string {
	client, family := "", ""
	if addr := r.Client.Addr(); addr.Is4() {
		client, family = addr.String(), "1"
	} else if addr.IsValid() {
		client, family = addr.String(), "2"
	}
	return quoted(fmt.Sprint(r.Time.UnixMicro()), client, family, "", r.Method, r.target("/"+r.Bucket+"/"), fmt.Sprint(r.Status), "0",
		fmt.Sprint(r.Sent), fmt.Sprint(r.Took.Microseconds()), r.Host, "", r.Agent, r.id("gcs", 40), r.gcsOperation(), r.Bucket, r.Key)
}

func (r *Request) gcsOperation() string {
	switch r.Act {
	case Write:
		return "PUT_Object"
	case List:
		return "GET_Bucket"
	case CopyFrom:
		return "storage.objects.rewrite"
	case Expire:
		return "DELETE_Object"
	case Read:
	}
	if r.Method == http.MethodHead {
		return "HEAD_Object"
	}
	return "GET_Object"
}

// quoted returns a line of CSV in which every value has quotes, as Google writes it.
func quoted(values ...string) string {
	var out []string
	for _, v := range values {
		out = append(out, `"`+strings.ReplaceAll(v, `"`, `""`)+`"`)
	}
	return strings.Join(out, ",")
}
