package accesslog

import (
	"errors"
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

// cloudFront reads standard logs of CloudFront. The comment #Fields names the fields; without it they are those of the
// documentation.
type cloudFront struct{ at map[string]int }

// standardFields are the first fields of a standard log, which are all that matter.
var standardFields = []string{
	"date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem", "sc-status",
	"cs(Referer)", "cs(User-Agent)", "cs-uri-query", "cs(Cookie)", "x-edge-result-type", "x-edge-request-id",
	"x-host-header",
}

// header takes a comment.
func (c *cloudFront) header(line string) {
	if list, ok := strings.CutPrefix(line, "#Fields:"); ok {
		c.fields(strings.Fields(list))
	}
}

// maxFields is how many fields are read. CloudFront has 33 of them.
const maxFields = 64

func (c *cloudFront) fields(names []string) {
	c.at = map[string]int{}
	for i, name := range names[:min(maxFields, len(names))] {
		c.at[name] = i
	}
}

var errNoField = errors.New("a field is missing, or #Fields does not name it: date, time, c-ip, cs-method, cs-uri-stem and sc-status are needed")

func (c *cloudFront) parse(line string, r *Record) error {
	r.Format = CloudFront
	if c.at == nil {
		c.fields(standardFields)
	}
	var cells [maxFields]string
	n := 0
	for rest, more := line, true; more && n < maxFields; n++ {
		cells[n], rest, more = strings.Cut(rest, "\t")
	}
	get := func(name string) string {
		if i, ok := c.at[name]; ok && i < n {
			return cells[i]
		}
		return ""
	}
	date, clock, client, status := get("date"), get("time"), get("c-ip"), get("sc-status")
	r.Method, r.Path = get("cs-method"), get("cs-uri-stem")
	if date == "" || clock == "" || client == "" || status == "" || r.Method == "" || r.Path == "" {
		return errNoField
	}
	if !r.setTime(time.DateTime, date+" "+clock) {
		return fmt.Errorf("%q is no time", date+" "+clock)
	}
	if !r.setClient(client) {
		return fmt.Errorf("%q is no address", client)
	}
	if status == "000" { // the client closed the connection before it got an answer
		status = "-"
	}
	if !r.setStatus(status) {
		return fmt.Errorf("%q is no status", status)
	}
	r.Sent = bytesOf(get("sc-bytes"))
	r.setHost(get("cs(Host)"))
	r.setHost(get("x-host-header")) // cs(Host) is the distribution's own name
	if agent := get("cs(User-Agent)"); agent != "-" {
		r.UserAgent = agent
	}
	return nil
}
