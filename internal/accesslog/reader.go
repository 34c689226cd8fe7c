package accesslog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxLine is the longest line that is read, in bytes. An entry of Cloud Logging has at most 256 KB, and the lines of
// the other logs are much shorter. A longer line counts as malformed.
const MaxLine = 256 << 10

// maxFaults is how many malformed lines are kept to be shown.
const maxFaults = 5

// Fault is a line that could not be read.
type Fault struct {
	File string `json:"file"`
	Line int64  `json:"line"` // from 1
	Err  string `json:"error"`
}

// String returns the fault in the form file:line: cause.
func (f Fault) String() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Err) }

// Stats counts the lines that a [Reader] has read.
type Stats struct {
	Lines     int64   // all, without empty ones and comments
	Other     int64   // of a log, and no request: the proxy logs other events too
	Malformed int64   // of no log that the reader knows
	Bytes     int64   // of the files, as they are stored: compressed ones count compressed
	Faults    []Fault // the first malformed ones
	Formats   map[Format]int64
	// Unknown counts the fields of logs of stores that nothing here knows, by name: each line that has one in JSON or
	// S3's logs, each header that names one in the others. A provider has added them, and nothing of them is read.
	Unknown map[string]int64
}

// maxUnknown is how many names of unknown fields are counted, and manyUnknown is the name for all the others.
const (
	maxUnknown  = 64
	manyUnknown = "(others)"
)

// unknown counts a field that is not known.
func (r *Reader) unknown(name string) {
	if r.stats.Unknown == nil {
		r.stats.Unknown = map[string]int64{}
	}
	if len(name) > 80 {
		name = name[:80]
	}
	if _, ok := r.stats.Unknown[name]; !ok {
		if len(r.stats.Unknown) >= maxUnknown {
			name = manyUnknown
		}
		name = strings.Clone(name)
	}
	r.stats.Unknown[name]++
}

// Reader reads logs, one after the other. It is not safe for concurrent use. The zero Reader finds out the format of
// each line.
type Reader struct {
	// Format is what every line must have; "" finds out.
	Format Format
	// Layout, if set, is the layout of every line. Format does not count then.
	Layout *Layout
	// Progress, if set, is called now and then while Read reads.
	Progress func(*Stats)

	stats  Stats
	record Record
	json   jsonParser
	front  cloudFront
	usage  usageLog
	buf    *bufio.Reader
	entry  []byte // of a JSON array: the lines of one entry
}

// Stats returns what was read until now.
func (r *Reader) Stats() *Stats { return &r.stats }

// outcome says what a line is.
type outcome uint8

const (
	isRequest outcome = iota
	isOther           // of the log, but no request
	isComment         // not even that
)

// Read reads the log in, which name names in faults, and calls each with every request. The record is valid only during
// the call. Read stops at the end, when ctx is done, or with the first error of in or of each. A malformed line is no
// error, but counted.
func (r *Reader) Read(ctx context.Context, name string, in io.Reader, each func(*Record) error) error {
	if r.buf == nil {
		r.buf = bufio.NewReaderSize(nil, MaxLine)
		r.stats.Formats = map[Format]int64{}
	}
	r.buf.Reset(in)
	r.front, r.usage = cloudFront{}, usageLog{}
	l := lines{r: r, name: name, each: each}
	for {
		if l.at%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if r.Progress != nil {
				r.Progress(&r.stats)
			}
		}
		line, long, err := r.line()
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: %w", name, err)
		}
		l.at++
		if long {
			l.tooLong()
		} else if err := l.take(line); err != nil {
			return err
		}
		if err != nil {
			return l.end()
		}
	}
}

// line returns the next line without its end. A line that is too long is skipped. The error is io.EOF with the last one.
func (r *Reader) line() (line []byte, long bool, err error) {
	line, err = r.buf.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		long = true
		_, err = r.buf.ReadSlice('\n')
	}
	if long {
		return nil, true, err
	}
	return bytes.TrimRight(line, "\r\n"), false, err
}

// lines is the state of reading one log.
type lines struct {
	r     *Reader
	name  string
	each  func(*Record) error
	at    int64 // number of the present line
	array bool  // the log is a JSON array, as gcloud logging read writes it
	begin int64 // of the present entry of the array; 0: between two of them
	long  bool  // it is too long
}

// take takes one line. The only error is that of each.
func (l *lines) take(line []byte) error {
	switch {
	case l.array:
		return l.part(line)
	case len(bytes.TrimSpace(line)) == 0:
		return nil
	case string(line) == "[":
		l.array = true
		return nil
	}
	return l.parse(line, l.at)
}

// part takes a line of a JSON array whose entries are indented by two blanks, and parses an entry at its end.
func (l *lines) part(line []byte) error {
	text := string(bytes.TrimRight(line, " ,"))
	switch {
	case l.begin == 0 && text == "  {":
		l.begin, l.long, l.r.entry = l.at, false, append(l.r.entry[:0], '{')
	case l.begin > 0 && text == "  }":
		begin := l.begin
		l.begin = 0
		if l.long {
			l.fault(begin, errLong)
			return nil
		}
		return l.parse(append(l.r.entry, '}'), begin)
	case l.begin > 0 && len(l.r.entry)+len(line) > MaxLine:
		l.long = true
	case l.begin > 0:
		l.r.entry = append(l.r.entry, line...)
	case text == "  {}":
	case text == "]":
		l.array = false
	case text != "":
		l.fault(l.at, errors.New("between two entries of a JSON array there is another line"))
	}
	return nil
}

var errLong = fmt.Errorf("it has more than %d KiB", MaxLine>>10)

func (l *lines) tooLong() {
	if l.begin > 0 {
		l.long = true
		return
	}
	l.fault(l.at, errLong)
}

func (l *lines) end() error {
	if l.begin > 0 {
		l.fault(l.begin, errors.New("the file ends within this entry"))
	}
	return nil
}

func (l *lines) fault(at int64, err error) {
	s := &l.r.stats
	s.Lines++
	s.Malformed++
	if len(s.Faults) < maxFaults {
		s.Faults = append(s.Faults, Fault{l.name, at, fmt.Sprintf("%.300s", err)})
	}
}

func (l *lines) parse(line []byte, at int64) error {
	r := l.r
	r.record.reset()
	r.record.File, r.record.Line = l.name, at
	is, err := r.parse(line)
	switch {
	case err != nil:
		l.fault(at, err)
		return nil
	case is == isComment:
		return nil
	}
	r.stats.Lines++
	if is == isOther {
		r.stats.Other++
		return nil
	}
	r.stats.Formats[r.record.Format]++
	return l.each(&r.record)
}
