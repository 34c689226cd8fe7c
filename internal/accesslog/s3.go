package accesslog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// s3Fields is how many fields a line of an S3 server access log has, as far as they are documented. AWS may add more at
// the end.
const s3Fields = 27

// parseS3 reads a line of an S3 server access log: owner bucket [time] address requester request-id operation key
// "request" status error bytes size time turn-around "referer" "agent", and 10 more. S3 escapes no quotes.
func (r *Reader) parseS3(line string, rec *Record) error {
	rec.Format = S3
	f := fields{line}
	rec.Owner, rec.Bucket = f.word(), f.word()
	at, rest, ok := strings.Cut(strings.TrimPrefix(f.rest, "["), "] ")
	if !ok {
		return errShort
	}
	f.rest = rest
	client, requester := f.word(), f.word()
	rec.RequestID = dash(f.word())
	rec.Operation, rec.Key = f.word(), dash(f.word())
	request, ok := f.s3Request()
	if !ok {
		return errShort
	}
	status := f.word()
	f.word()
	sent, size := f.word(), f.word()
	f.word()
	turn := f.word()
	if turn == "" {
		return errShort
	}
	if rec.Time, ok = commonTime(at); !ok {
		return fmt.Errorf("%q is no time", at)
	}
	if client != "-" && !rec.setClient(client) {
		return fmt.Errorf("%q is no address", client)
	}
	if !rec.setStatus(status) {
		return fmt.Errorf("%q is no status", status)
	}
	if rec.Sent = bytesOf(sent); sent == "-" {
		rec.Sent = 0 // this is what S3 writes for zero
	} else if rec.Sent < 0 {
		return fmt.Errorf("%q is no number of bytes", sent)
	}
	rec.Size = bytesOf(size)
	rec.Requester = dash(requester)
	rec.request(request)
	r.s3Tail(f.rest, rec)
	return nil
}

// s3Request takes the request line in quotes. A client can put quotes into its target, and no blanks. So the quotes end
// where a blank and a status follow.
func (f *fields) s3Request() (string, bool) {
	if !strings.HasPrefix(f.rest, `"`) {
		return dash(f.word()), f.rest != ""
	}
	text := f.rest[1:]
	for from := 0; ; {
		i := strings.Index(text[from:], `" `)
		if i < 0 {
			return "", false
		}
		i += from
		from = i + 2
		status, _, more := strings.Cut(text[from:min(len(text), from+4)], " ")
		if _, ok := number(status); more && (status == "-" || len(status) == 3 && ok) {
			f.rest = text[from:]
			return text[:i], true
		}
	}
}

// s3Tail reads what follows the times: "referer" "agent" version host-id signature cipher authentication host TLS
// access-point ACL region. What follows the agent has no quotes, so the last quote of the line ends the agent, whatever
// is in it.
func (r *Reader) s3Tail(tail string, rec *Record) {
	const before = 17 // fields of the line until the agent
	end := strings.LastIndexByte(tail, '"')
	_, agent, ok := strings.Cut(tail[:max(end, 0)], `" "`)
	if !ok {
		// Referer and agent are missing, or not in quotes.
		_, tail, _ = strings.Cut(tail, " ")
		agent, tail, _ = strings.Cut(tail, " ")
	} else {
		tail = strings.TrimPrefix(tail[end+1:], " ")
	}
	rec.UserAgent = dash(agent)
	f := fields{tail}
	for range 5 {
		f.word()
	}
	rec.setHost(f.word())
	for n := before + 7; f.rest != ""; n++ {
		if f.word(); n > s3Fields {
			r.unknown("field " + strconv.Itoa(n))
		}
	}
}

// word returns the text until the next blank; "" at the end.
func (f *fields) word() string {
	var out string
	out, f.rest, _ = strings.Cut(f.rest, " ")
	return out
}

// dash returns a field, or "" for "-", which stands for nothing.
func dash(text string) string {
	if text == "-" {
		return ""
	}
	return text
}

// commonTime reads 06/Feb/2019:00:00:38 +0000. [time.Parse] would take a tenth of the time for a line.
func commonTime(s string) (time.Time, bool) {
	if len(s) != len("06/Feb/2019:00:00:38 +0000") || s[2] != '/' || s[6] != '/' || s[11] != ':' || s[14] != ':' || s[17] != ':' || s[20] != ' ' {
		return time.Time{}, false
	}
	month := strings.Index("JanFebMarAprMayJunJulAugSepOctNovDec", s[3:6])
	zone, ok := number(s[22:])
	if month < 0 || month%3 != 0 || !ok || s[21] != '+' && s[21] != '-' || zone%100 > 59 {
		return time.Time{}, false
	}
	zone = zone/100*3600 + zone%100*60
	if s[21] == '-' {
		zone = -zone
	}
	at, ok := clock(s[7:11], month/3+1, s[:2], s[12:20])
	return at.Add(-time.Duration(zone) * time.Second), ok
}

// dateTime reads 2019-12-04 and 21:02:31, in UTC.
func dateTime(date, at string) (time.Time, bool) {
	if len(date) != len("2019-12-04") || date[4] != '-' || date[7] != '-' {
		return time.Time{}, false
	}
	month, ok := number(date[5:7])
	if !ok {
		return time.Time{}, false
	}
	return clock(date[:4], month, date[8:], at)
}

// clock makes a time of its parts; at is 21:02:31.
func clock(year string, month int, day, at string) (time.Time, bool) {
	if len(at) != len("21:02:31") || at[2] != ':' || at[5] != ':' {
		return time.Time{}, false
	}
	y, ok1 := number(year)
	d, ok2 := number(day)
	h, ok3 := number(at[:2])
	m, ok4 := number(at[3:5])
	s, ok5 := number(at[6:])
	out := time.Date(y, time.Month(month), d, h, m, s, 0, time.UTC)
	ok := ok1 && ok2 && ok3 && ok4 && ok5 && h < 24 && m < 60 && s < 61 && month >= 1 && month <= 12
	return out, ok && d >= 1 && d <= 31 && out.Month() == time.Month(month)
}
