package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// parse reads a line that is not empty into r.record.
func (r *Reader) parse(line []byte) (outcome, error) {
	if r.Layout != nil {
		return r.declared(line)
	}
	format := detect(line)
	if format == "" && r.Format == "" {
		return 0, errors.New("it has the form of no log that is known here")
	}
	if format == jsonLine {
		is, err := r.json.parse(line, &r.record)
		if err == nil && is == isRequest && r.Format != "" && r.record.Format != r.Format {
			err = r.other(r.record.Format)
		}
		if err == nil && (r.record.Format == CloudFrontJSON || r.record.Format == Azure) {
			for _, name := range r.json.strange {
				r.unknown(name)
			}
		}
		return is, err
	}
	if r.Format != "" {
		if format != r.Format && format != "" && format != commentLine {
			return 0, r.other(format)
		}
		if format == "" {
			format = r.Format
		}
	}
	switch format {
	case commentLine:
		r.front.header(string(line), r.unknown)
		return isComment, nil
	case S3:
		return isRequest, r.parseS3(string(line), &r.record)
	case GCS:
		if isUsageHeader(line) {
			r.usage.header(string(line), r.unknown)
			return isComment, nil
		}
		return isRequest, r.usage.parse(string(line), &r.record)
	case Proxy:
		return parseText(string(line), &r.record)
	case ALB:
		return isRequest, parseALB(string(line), &r.record)
	case CloudFront:
		return isRequest, r.front.parse(string(line), &r.record)
	case Combined:
		return isRequest, parseCombined(string(line), &r.record)
	default:
		return 0, fmt.Errorf("it is no line of %s", format)
	}
}

func (r *Reader) other(is Format) error {
	return fmt.Errorf("it is a line of %s, and %s was to be read", is, r.Format)
}

// These are forms of lines that are no format by themselves.
const (
	jsonLine    Format = "json"
	commentLine Format = "#"
)

// detect tells the format by the form of the line; "" for none. Every format begins differently.
func detect(line []byte) Format {
	switch {
	case line[0] == '{':
		return jsonLine
	case line[0] == '#':
		return commentLine
	case bytes.HasPrefix(line, []byte("time=")):
		return Proxy
	}
	first, _, ok := bytes.Cut(line, []byte(" "))
	switch string(first) {
	case "http", "https", "h2", "grpcs", "ws", "wss":
		return ALB
	}
	if len(line) > 11 && line[4] == '-' && line[7] == '-' && line[10] == '\t' {
		return CloudFront
	}
	if isUsage(line) {
		return GCS
	}
	if ok && isS3(line) {
		return S3
	}
	if ok && bytes.Contains(line, []byte(" [")) && bytes.Contains(line, []byte(`] "`)) {
		return Combined
	}
	return ""
}

// isS3 reports whether a line has a bracket behind its second field: owner bucket [time] address. In the format
// combined, quotes follow the time. With a truncated line the length of the first field decides: it is a canonical id.
func isS3(line []byte) bool {
	owner, rest, _ := bytes.Cut(line, []byte(" "))
	_, rest, _ = bytes.Cut(rest, []byte(" "))
	if !bytes.HasPrefix(rest, []byte("[")) {
		return len(owner) == 64 && bytes.IndexByte(owner, '.') < 0
	}
	_, rest, ok := bytes.Cut(rest, []byte("] "))
	return ok && !bytes.HasPrefix(rest, []byte(`"`))
}

// fields cuts a line with one blank between its fields. Fields in quotes may have blanks.
type fields struct{ rest string }

// errShort is the fault of a line that ends too early.
var errShort = errors.New("it has too few fields")

// next returns the next field without its quotes; "" at the end.
func (f *fields) next() string {
	if f.rest == "" {
		return ""
	}
	if f.rest[0] == '"' {
		return f.quoted()
	}
	var out string
	out, f.rest, _ = strings.Cut(f.rest, " ")
	return out
}

// quoted returns a field in quotes. A backslash escapes the character after it; escapes stay as they are, because the
// fields that matter here have none.
func (f *fields) quoted() string {
	for i := 1; i < len(f.rest); i++ {
		switch f.rest[i] {
		case '\\':
			i++
		case '"':
			out := f.rest[1:i]
			f.rest = strings.TrimPrefix(f.rest[i+1:], " ")
			return out
		}
	}
	out := f.rest[1:]
	f.rest = ""
	return out
}

func (f *fields) skip(n int) {
	for range n {
		f.next()
	}
}

// request reads `METHOD TARGET PROTOCOL`. Fronts write what a client sent when it was no such line; that has no path.
func (r *Record) request(text string) {
	method, rest, ok := strings.Cut(text, " ")
	if !ok {
		return
	}
	target, _, _ := strings.Cut(rest, " ")
	r.Method = method
	r.setTarget(target)
}
