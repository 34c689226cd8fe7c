package accesslog

import (
	"fmt"
	"strings"
	"time"
)

// parseALB reads a line of an Application Load Balancer: type time elb client:port target:port, three times,
// elb_status_code target_status_code received_bytes sent_bytes "request" "user_agent", and more that is not read.
func parseALB(line string, r *Record) error {
	r.Format = ALB
	f := fields{line}
	f.skip(1)
	at := f.next()
	f.skip(1)
	client := f.next()
	f.skip(4)
	status := f.next()
	f.skip(2)
	sent, request, agent := f.next(), f.next(), f.next()
	if request == "" {
		return errShort
	}
	if !r.setTime(time.RFC3339Nano, at) {
		return fmt.Errorf("%q is no time", at)
	}
	if !r.setClient(client) {
		return fmt.Errorf("%q is no client:port", client)
	}
	if !r.setStatus(status) {
		return fmt.Errorf("%q is no status", status)
	}
	r.Sent = bytesOf(sent)
	r.request(request)
	if agent != "-" {
		r.UserAgent = agent
	}
	return nil
}

// combinedTime is the time of the format combined.
const combinedTime = "02/Jan/2006:15:04:05 -0700"

// parseCombined reads `client ident user [time] "request" status bytes "referer" "user agent"`. The last two may be
// missing, as in the format common. Apache's vhost_combined has host:port before the client.
func parseCombined(line string, r *Record) error {
	r.Format = Combined
	f := fields{line}
	client := f.next()
	if !r.setClient(client) {
		host := client
		if client = f.next(); !r.setClient(client) {
			return fmt.Errorf("%q is no address of a client", host)
		}
		r.setHost(host)
	}
	f.skip(1)
	// The name of a user may have blanks. Nobody logs in at a registry that is pulled from, so look for the bracket.
	_, f.rest, _ = strings.Cut(f.rest, "[")
	at, rest, ok := strings.Cut(f.rest, "] ")
	if !ok {
		return errShort
	}
	f.rest = rest
	request, status, sent := f.next(), f.next(), f.next()
	if sent == "" {
		return errShort
	}
	if !r.setTime(combinedTime, at) {
		return fmt.Errorf("%q is no time", at)
	}
	if !r.setStatus(status) {
		return fmt.Errorf("%q is no status", status)
	}
	if r.Sent = bytesOf(sent); sent == "-" {
		r.Sent = 0 // Apache writes this for an answer without a body
	}
	host := r.Host
	r.request(request)
	if r.Host == "" {
		r.Host = host
	}
	f.skip(1)
	if agent := f.next(); agent != "-" {
		r.UserAgent = agent
	}
	return nil
}
