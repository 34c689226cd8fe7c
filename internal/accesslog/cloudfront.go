package accesslog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// cloudFront reads standard logs of CloudFront. The comment #Fields names the fields; without it they are those of the
// documentation.
type cloudFront struct {
	named bool
	cells int             // how many fields are split off: the ones behind them are not read
	at    [frontCells]int // where a field stands; -1: nowhere
}

// frontCell is a field that is read.
type frontCell int

const (
	frontDate frontCell = iota
	frontTime
	frontMillis
	frontSent
	frontClient
	frontMethod
	frontHost
	frontOwnHost
	frontPath
	frontQuery
	frontStatus
	frontAgent
	frontID
	frontCells
)

var frontNames = [frontCells]string{
	"date", "time", "timestamp(ms)", "sc-bytes", "c-ip", "cs-method", "x-host-header", "cs(Host)", "cs-uri-stem",
	"cs-uri-query", "sc-status", "cs(User-Agent)", "x-edge-request-id",
}

// standardFields are the fields of a standard log in their order. Only the legacy log has them without a header.
var standardFields = []string{
	"date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem", "sc-status",
	"cs(Referer)", "cs(User-Agent)", "cs-uri-query", "cs(Cookie)", "x-edge-result-type", "x-edge-request-id",
	"x-host-header", "cs-protocol", "cs-bytes", "time-taken", "x-forwarded-for", "ssl-protocol", "ssl-cipher",
	"x-edge-response-result-type", "cs-protocol-version", "fle-status", "fle-encrypted-fields", "c-port",
	"time-to-first-byte", "x-edge-detailed-result-type", "sc-content-type", "sc-content-len", "sc-range-start",
	"sc-range-end",
}

// moreFields are fields that a log of version 2 can have besides.
var moreFields = []string{
	"timestamp", "timestamp(ms)", "DistributionId", "distribution-tenant-id", "connection-id", "origin-fbl",
	"origin-lbl", "asn", "c-country", "cache-behavior-path-pattern", "viewer-uri",
}

// header takes a comment, and reports fields that are not known.
func (c *cloudFront) header(line string, unknown func(string)) {
	list, ok := strings.CutPrefix(line, "#Fields:")
	if !ok {
		return
	}
	names := strings.Fields(list)
	c.fields(names)
	for _, name := range names {
		if !slices.Contains(standardFields, name) && !slices.Contains(moreFields, name) {
			unknown(name)
		}
	}
}

// maxFields is how many fields are read. CloudFront has 33 of them, and 11 more on demand.
const maxFields = 64

func (c *cloudFront) fields(names []string) {
	names = names[:min(maxFields, len(names))]
	c.named, c.cells = true, 0
	for i, name := range frontNames {
		c.at[i] = slices.Index(names, name)
		c.cells = max(c.cells, c.at[i]+1)
	}
}

var errNoField = errors.New("a field is missing, or #Fields does not name it: date, time, c-ip, cs-method, cs-uri-stem and sc-status are needed")

func (c *cloudFront) parse(line string, r *Record) error {
	r.Format = CloudFront
	if !c.named {
		c.fields(standardFields)
	}
	var cells [maxFields]string
	n := 0
	for rest, more := line, true; more && n < c.cells; n++ {
		cells[n], rest, more = strings.Cut(rest, "\t")
	}
	var values [frontCells]string
	for i, at := range c.at {
		if at >= 0 && at < n {
			values[i] = cells[at]
		}
	}
	return r.setFront(&values)
}

// setFront takes the values of a standard log.
func (r *Record) setFront(v *[frontCells]string) error {
	status := v[frontStatus]
	r.Method = v[frontMethod]
	r.Path, _, _ = strings.Cut(v[frontPath], "?") // the query is a field of its own
	date, at, millis := v[frontDate], v[frontTime], v[frontMillis]
	if (date == "" || at == "") && millis == "" || v[frontClient] == "" || status == "" || r.Method == "" || v[frontPath] == "" {
		return errNoField
	}
	var ok bool
	if date == "" || at == "" {
		at, date = millis, ""
		r.Time, ok = unixTime(millis)
	} else {
		r.Time, ok = dateTime(date, at)
	}
	if !ok {
		return fmt.Errorf("%q is no time", strings.TrimSpace(date+" "+at))
	}
	if !r.setClient(v[frontClient]) {
		return fmt.Errorf("%q is no address", v[frontClient])
	}
	if status == "000" { // the client closed the connection before it got an answer
		status = "-"
	}
	if !r.setStatus(status) {
		return fmt.Errorf("%q is no status", status)
	}
	r.Sent = bytesOf(v[frontSent])
	r.setHost(v[frontOwnHost])
	r.setHost(v[frontHost]) // cs(Host) is the distribution's own name
	r.setQuery(v[frontQuery])
	r.UserAgent, r.RequestID = dash(v[frontAgent]), dash(v[frontID])
	return nil
}
