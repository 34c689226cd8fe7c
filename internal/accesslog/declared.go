package accesslog

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Layout says where the values of a line stand, for logs that are in no format that is known here. It is immutable.
type Layout struct {
	separator byte // 0: JSON
	fields    []declaredField
	keys      map[string]declaredField // of JSON: paths with dots
	text      string
}

// declaredField is a value that a layout can name.
type declaredField string

// declaredFields lists what a layout can name. "-" is a field that is not read.
var declaredFields = []declaredField{
	"-", "time", "client", "method", "host", "path", "query", "status", "sent", "size", "agent", "id", "bucket", "key",
	"operation", "requester", "weight",
}

var separators = map[string]byte{"tab": '\t', "space": ' ', "comma": ',', "pipe": '|', "json": 0}

// ParseLayout reads a layout: the separator, a colon, and the fields in their order, or for JSON their keys:
//
//	tab: time client - host path status sent agent id
//	json: time=timestamp client=request.ip path=request.url sent=response.bytes
//
// The separators are tab, space, comma, pipe and json. The fields time, client, path (or key) and sent are needed.
func ParseLayout(text string) (*Layout, error) {
	name, list, ok := strings.Cut(text, ":")
	separator, known := separators[strings.TrimSpace(name)]
	if !ok || !known {
		return nil, errors.New("a layout begins with tab:, space:, comma:, pipe: or json:")
	}
	l := &Layout{separator: separator, text: text, keys: map[string]declaredField{}}
	var has []declaredField
	for _, word := range strings.Fields(list) {
		field, key, keyed := strings.Cut(word, "=")
		f := declaredField(field)
		switch {
		case !slices.Contains(declaredFields, f):
			return nil, fmt.Errorf("%.40q is no field: %s", field, fieldList())
		case f != "-" && slices.Contains(has, f):
			return nil, fmt.Errorf("the field %s stands twice", f)
		case separator == 0 && (!keyed || key == ""):
			return nil, fmt.Errorf("with json a field has a key: %s=KEY", f)
		case separator == 0 && l.keys[key] != "":
			return nil, fmt.Errorf("the key %.40q stands twice", key)
		case separator != 0 && keyed:
			return nil, fmt.Errorf("only with json a field has a key: %.40q", word)
		case len(has) == maxFields:
			return nil, fmt.Errorf("more than %d fields", maxFields)
		}
		has = append(has, f)
		l.fields = append(l.fields, f)
		if separator == 0 {
			l.keys[key] = f
		}
	}
	for _, f := range []declaredField{"time", "client", "sent"} {
		if !slices.Contains(has, f) {
			return nil, fmt.Errorf("a layout needs the field %s", f)
		}
	}
	if !slices.Contains(has, "path") && !slices.Contains(has, "key") {
		return nil, errors.New("a layout needs the field path, or key")
	}
	return l, nil
}

func fieldList() string {
	var out []string
	for _, f := range declaredFields[1:] {
		out = append(out, string(f))
	}
	return strings.Join(out, " ") + ", and - for a field that is not read"
}

// String returns the layout as [ParseLayout] reads it.
func (l *Layout) String() string { return l.text }

// declared reads a line of the reader's layout.
func (r *Reader) declared(line []byte) (outcome, error) {
	rec := &r.record
	rec.Format, rec.Status = Declared, 200 // a log without a status has what was answered
	if r.Layout.separator == 0 {
		if line[0] != '{' {
			return 0, errors.New("it is no JSON object")
		}
		if err := r.json.declared(line, r.Layout, rec); err != nil {
			return 0, err
		}
	} else {
		if line[0] == '#' {
			return isComment, nil
		}
		var cells [maxFields]string
		n, err := r.Layout.split(string(line), cells[:])
		if err != nil {
			return 0, err
		}
		if n < len(r.Layout.fields) {
			return 0, errShort
		}
		for i, f := range r.Layout.fields {
			if err := rec.set(f, cells[i]); err != nil {
				return 0, err
			}
		}
	}
	if rec.Time.IsZero() {
		return 0, errors.New("it has no time")
	}
	return isRequest, nil
}

// split splits a line into cells. With blanks and commas, a value may be in quotes, and one with blanks in brackets.
func (l *Layout) split(line string, cells []string) (n int, err error) {
	switch l.separator {
	case ',':
		n, ok := splitCSV(line, cells)
		if !ok {
			return 0, errQuotes
		}
		return n, nil
	case ' ':
		f := fields{line}
		for ; n < len(cells) && f.rest != ""; n++ {
			if rest, ok := strings.CutPrefix(f.rest, "["); ok {
				cells[n], f.rest, _ = strings.Cut(rest, "]")
				f.rest = strings.TrimPrefix(f.rest, " ")
				continue
			}
			cells[n] = f.next()
		}
		return n, nil
	}
	for more := true; more && n < len(cells); n++ {
		cells[n], line, more = strings.Cut(line, string(rune(l.separator)))
	}
	return n, nil
}

// declared reads the values that the layout names from a JSON object.
func (p *jsonParser) declared(line []byte, l *Layout, r *Record) error {
	p.start(line)
	var fault error
	err := p.walk("", 0, func(key string) bool { return l.keys[key] != "" }, func(key, text string) {
		if err := r.set(l.keys[key], text); err != nil && fault == nil {
			fault = fmt.Errorf("%s: %w", key, err)
		}
	})
	if err == nil {
		err = p.ends()
	}
	if err != nil {
		return fmt.Errorf("it is not valid JSON: %w", err)
	}
	return fault
}

// maxDepth is how deep a value of a declared layout can be.
const maxDepth = 4

// walk calls each with the wanted values of an object and of the objects in it, named by paths with dots.
func (p *jsonParser) walk(prefix string, depth int, wanted func(string) bool, each func(key, text string)) error {
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	for p.dec.PeekKind() == '"' {
		key, err := p.text()
		if err != nil {
			return err
		}
		key = prefix + key
		switch {
		case wanted(key):
			text, err := p.text()
			if err != nil {
				return err
			}
			each(key, text)
		case p.dec.PeekKind() == '{' && depth < maxDepth:
			if err := p.walk(key+".", depth+1, wanted, each); err != nil {
				return err
			}
		default:
			if err := p.dec.SkipValue(); err != nil {
				return err
			}
		}
	}
	_, err := p.dec.ReadToken()
	return err
}

// set takes the value of a declared field. "-" and "" stand for nothing.
func (r *Record) set(f declaredField, text string) error {
	if text = dash(text); text == "" {
		return nil
	}
	ok := true
	switch f {
	case "time":
		r.Time, ok = anyTime(text)
	case "client":
		ok = r.setClient(text)
	case "method":
		r.Method = text
	case "host":
		r.setHost(text)
	case "path":
		r.setTarget(text)
	case "query":
		r.setQuery(strings.TrimPrefix(text, "?"))
	case "status":
		ok = r.setStatus(text)
	case "sent":
		r.Sent = bytesOf(text)
		ok = r.Sent >= 0
	case "size":
		r.Size = bytesOf(text)
		ok = r.Size >= 0
	case "agent":
		r.UserAgent = text
	case "id":
		r.RequestID = text
	case "bucket":
		r.Bucket = text
	case "key":
		r.Key = text
	case "operation":
		r.Operation = text
	case "requester":
		r.Requester = text
	case "weight":
		w, err := strconv.ParseFloat(text, 64)
		r.Weight, ok = w, err == nil && w >= 0 && w <= maxWeight
	}
	if !ok {
		return fmt.Errorf("%.80q is no %s", text, f)
	}
	return nil
}

// anyTime reads a time in RFC 3339, with or without a zone (UTC), in the form of Apache's logs, or as a number since
// 1970 in seconds, milliseconds or microseconds, which its size tells apart.
func anyTime(text string) (time.Time, bool) {
	if at, ok := commonTime(text); ok {
		return at, true
	}
	if at, ok := unixTime(text); ok {
		return at, true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05Z07:00"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// unixTime reads a number of seconds, milliseconds or microseconds since 1970. One of 12 digits or more has not seconds.
func unixTime(text string) (time.Time, bool) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v < 1e17) {
		return time.Time{}, false
	}
	switch {
	case v >= 1e14:
		return time.UnixMicro(int64(v)).UTC(), true
	case v >= 1e11:
		return time.UnixMilli(int64(v)).UTC(), true
	}
	whole, part := math.Modf(v)
	return time.Unix(int64(whole), int64(math.Round(part*1e6))*1000).UTC(), true
}
