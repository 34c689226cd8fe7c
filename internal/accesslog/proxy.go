package accesslog

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// requestMessage is the message of the proxy's lines about requests.
const requestMessage = "request"

// proxyKeys are the keys of the proxy's line that are read.
var proxyKeys = []string{
	"time", "msg", "method", "kind", "status", "weight", "name", "reference", "client", "place", "candidate", "reason",
	"bytes", "size", "rid", "user_agent", "probe", "host",
}

// proxyLine has the values of one line of the proxy's request log.
type proxyLine struct {
	time, msg, method, kind, status, weight, name, reference, client, place, candidate, reason string
	bytes, size, rid, userAgent, host                                                          string
	probe                                                                                      bool
}

// wants reports whether the key, in quotes, is one of the line.
func (l *proxyLine) wants(quoted string) bool {
	return slices.Contains(proxyKeys, quoted[1:len(quoted)-1])
}

func (l *proxyLine) set(key, value string) {
	switch key {
	case "time":
		l.time = value
	case "msg":
		l.msg = value
	case "method":
		l.method = value
	case "kind":
		l.kind = value
	case "status":
		l.status = value
	case "weight":
		l.weight = value
	case "name":
		l.name = value
	case "reference":
		l.reference = value
	case "client":
		l.client = value
	case "place":
		l.place = value
	case "candidate":
		l.candidate = value
	case "reason":
		l.reason = value
	case "bytes":
		l.bytes = value
	case "size":
		l.size = value
	case "rid":
		l.rid = value
	case "user_agent":
		l.userAgent = value
	case "host":
		l.host = value
	case "probe":
		l.probe = true
	}
}

// fill makes a record of the line, whose message is requestMessage.
func (l *proxyLine) fill(r *Record) (outcome, error) {
	r.Format = Proxy
	if !r.setTime(time.RFC3339Nano, l.time) {
		return 0, fmt.Errorf("time %q is no time", l.time)
	}
	if !r.setStatus(l.status) || l.status == "-" {
		return 0, fmt.Errorf("status %q is no status", l.status)
	}
	if l.client != "" && !r.setClient(l.client) {
		return 0, fmt.Errorf("client %q is no address and no network", l.client)
	}
	if l.weight != "" {
		var err error
		if r.Weight, err = strconv.ParseFloat(l.weight, 64); err != nil || !(r.Weight >= 0 && r.Weight <= maxWeight) {
			return 0, fmt.Errorf("weight %q is no number from 0 to %d", l.weight, int(maxWeight))
		}
	}
	r.Span = bytesOf(l.bytes)
	if r.Size = bytesOf(l.size); l.size == "" {
		r.Size = r.Span // servers before the key size wrote the size of the blob as bytes
	}
	r.RID = l.rid
	r.Method, r.Place, r.Candidate, r.Reason = l.method, l.place, l.candidate, l.reason
	r.UserAgent, r.Probe = l.userAgent, l.probe
	r.setHost(l.host)
	switch l.kind {
	case "blob":
		r.Path = "/v2/" + l.name + "/blobs/" + l.reference
	case "manifest", "tag":
		r.Path = "/v2/" + l.name + "/manifests/" + l.reference
	case "referrers":
		r.Path = "/v2/" + l.name + "/referrers/" + l.reference
	case "tags":
		r.Path = "/v2/" + l.name + "/tags/list"
	case "base":
		r.Path = "/v2/"
	}
	return isRequest, nil
}

// maxWeight is more than a server with log.requests of one in a million writes.
const maxWeight = 1e9

// parseText reads a line of the proxy's log with `log.format: text`: key=value, with quotes as Go writes them.
func parseText(line string, r *Record) (outcome, error) {
	var l proxyLine
	for rest := line; rest != ""; {
		key, value, ok := strings.Cut(rest, "=")
		if !ok || strings.ContainsAny(key, " \"") {
			return 0, errors.New("it has a value without a key")
		}
		if strings.HasPrefix(value, `"`) {
			quoted, err := strconv.QuotedPrefix(value)
			if err != nil {
				return 0, fmt.Errorf("the quotes of %s do not end", key)
			}
			rest = value[len(quoted):]
			if value, err = strconv.Unquote(quoted); err != nil {
				return 0, fmt.Errorf("the quotes of %s do not end", key)
			}
			if rest != "" && rest[0] != ' ' {
				return 0, fmt.Errorf("no blank follows %s", key)
			}
			rest = strings.TrimPrefix(rest, " ")
		} else {
			value, rest, _ = strings.Cut(value, " ")
		}
		l.set(key, value)
	}
	switch l.msg {
	case requestMessage:
		return l.fill(r)
	case "":
		return 0, errors.New("it has no msg")
	}
	return isOther, nil
}
