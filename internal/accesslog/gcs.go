package accesslog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// usageLog reads usage logs of Google Cloud Storage: CSV, every value in quotes. The first line names the columns.
// Without it they are those of the documentation.
type usageLog struct {
	named bool
	cells int
	at    [usageCells]int
}

// usageCell is a column that is read.
type usageCell int

const (
	usageTime usageCell = iota
	usageClient
	usageMethod
	usageURI
	usageStatus
	usageSent
	usageHost
	usageAgent
	usageID
	usageOperation
	usageBucket
	usageObject
	usageCells
)

var usageNames = [usageCells]string{
	"time_micros", "c_ip", "cs_method", "cs_uri", "sc_status", "sc_bytes", "cs_host", "cs_user_agent", "s_request_id",
	"cs_operation", "cs_bucket", "cs_object",
}

var usageColumns = []string{
	"time_micros", "c_ip", "c_ip_type", "c_ip_region", "cs_method", "cs_uri", "sc_status", "cs_bytes", "sc_bytes",
	"time_taken_micros", "cs_host", "cs_referer", "cs_user_agent", "s_request_id", "cs_operation", "cs_bucket",
	"cs_object",
}

// isUsage reports whether a line has the form of a usage log, or is its header.
func isUsage(line []byte) bool {
	if isUsageHeader(line) {
		return true
	}
	digits, _, ok := bytes.Cut(bytes.TrimPrefix(line, []byte(`"`)), []byte(`",`))
	if !ok || len(digits) < 15 || len(digits) > 17 {
		return false
	}
	_, ok = number(digits)
	return ok
}

func isUsageHeader(line []byte) bool { return bytes.HasPrefix(line, []byte(`"time_micros",`)) }

func (u *usageLog) header(line string, unknown func(string)) {
	var cells [maxFields]string
	n, _ := splitCSV(line, cells[:])
	u.columns(cells[:n])
	for _, name := range cells[:n] {
		if !slices.Contains(usageColumns, name) {
			unknown(name)
		}
	}
}

func (u *usageLog) columns(names []string) {
	u.named, u.cells = true, 0
	for i, name := range usageNames {
		u.at[i] = slices.Index(names, name)
		u.cells = max(u.cells, u.at[i]+1)
	}
}

// notAnAddress is what Google writes in place of the address of a virtual machine in a network of the project.
const notAnAddress = "gce-internal-ip"

func (u *usageLog) parse(line string, r *Record) error {
	r.Format = GCS
	if !u.named {
		u.columns(usageColumns)
	}
	var cells [maxFields]string
	n, ok := splitCSV(line, cells[:u.cells])
	if !ok {
		return errQuotes
	}
	get := func(c usageCell) string {
		if at := u.at[c]; at >= 0 && at < n {
			return cells[at]
		}
		return ""
	}
	if n < u.cells || u.at[usageTime] < 0 || u.at[usageStatus] < 0 || u.at[usageSent] < 0 || u.at[usageBucket] < 0 {
		return errShort
	}
	micros, ok := number(get(usageTime))
	if !ok || len(get(usageTime)) > 17 {
		return fmt.Errorf("%q is no time", get(usageTime))
	}
	r.Time = time.UnixMicro(int64(micros)).UTC()
	if c := get(usageClient); c != "" && c != notAnAddress && !r.setClient(c) {
		return fmt.Errorf("%q is no address", c)
	}
	if status := get(usageStatus); status != "" && !r.setStatus(status) {
		return fmt.Errorf("%q is no status", status)
	}
	if r.Sent = bytesOf(get(usageSent)); get(usageSent) == "" {
		r.Sent = 0
	}
	r.setTarget(get(usageURI))
	r.setHost(get(usageHost))
	r.Method, r.UserAgent = get(usageMethod), get(usageAgent)
	r.RequestID, r.Operation = get(usageID), get(usageOperation)
	r.Bucket, r.Key = get(usageBucket), get(usageObject)
	return nil
}

var errQuotes = fmt.Errorf("its quotes do not end")

// splitCSV splits a line at its commas into cells, until they are full. It returns how many there are, and whether all
// quotes end. Only a value with quotes in it costs an allocation.
func splitCSV(line string, cells []string) (n int, ok bool) {
	for n < len(cells) {
		if !strings.HasPrefix(line, `"`) {
			var more bool
			cells[n], line, more = strings.Cut(line, ",")
			if n++; !more {
				return n, true
			}
			continue
		}
		end := 1
		doubled := false
		for {
			i := strings.IndexByte(line[end:], '"')
			if i < 0 {
				return n, false
			}
			end += i + 1
			if end == len(line) || line[end] != '"' {
				break
			}
			end++
			doubled = true
		}
		cells[n] = line[1 : end-1]
		if doubled {
			cells[n] = strings.ReplaceAll(cells[n], `""`, `"`)
		}
		n++
		if end == len(line) {
			return n, true
		}
		if line[end] != ',' {
			return n, false
		}
		line = line[end+1:]
	}
	return n, true
}
