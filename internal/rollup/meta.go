package rollup

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"ociproxy/internal/traffic"
)

// Version is the version of the schema. A later version may add columns; one that changes or removes a column gets
// another number, and [Read] refuses it.
const Version = 1

// Kind is what the rows of a file are.
type Kind string

// These are the kinds.
const (
	Rows    Kind = "rows"    // traffic.Row
	Objects Kind = "objects" // traffic.Object
)

// Names of the metadata of a file.
const (
	metaVersion = "ociproxy.rollup.version"
	metaKind    = "ociproxy.rollup.kind"
	metaAbout   = "ociproxy.rollup.about"
	metaCovers  = "ociproxy.rollup.covers"
)

// Meta is what a file says about itself.
type Meta struct {
	Kind Kind `json:"-"`
	// Logs is where the log objects are, without secrets: "s3://logs/prod/". "" when the rows come from elsewhere.
	Logs string `json:"logs,omitempty"`
	// LogDay is the day in the names of the log objects, as 2026-12-10; "undated" when their names have none. The
	// requests in them may be of the days before and after it.
	LogDay string `json:"logDay,omitempty"`
	// Made is when the file was made, by the clock of the machine.
	Made time.Time `json:"made,omitzero"`
	// From are the sources of the rows.
	From []traffic.Source `json:"from,omitempty"`
	// Counts says what became of the lines.
	Counts Counts `json:"counts"`
	// Covers are the log objects that the file was made from, sorted by their names' hash.
	Covers []Cover `json:"-"`
}

// Counts says what became of the lines of logs.
type Counts struct {
	LogObjects int64 `json:"logObjects"`
	Bytes      int64 `json:"bytes"` // as stored: compressed logs count compressed
	Lines      int64 `json:"lines"` // all, without empty ones and comments
	Counted    int64 `json:"counted"`
	Duplicates int64 `json:"duplicates"`
	// NoID is how many counted lines had no request id, so that duplicates of them would not be noticed.
	NoID      int64 `json:"withoutRequestID"`
	Malformed int64 `json:"malformed"` // also lines that were cut off
	Other     int64 `json:"otherEvents"`
	// Left is how many requests were not counted, by reason: another host's lines, for example.
	Left map[string]int64 `json:"leftOut,omitempty"`
	// FalseDuplicates is how many requests at most are expected to be taken for duplicates although they are none,
	// because only 64 bits of each request id are compared.
	FalseDuplicates float64 `json:"falseDuplicatesExpected"`
}

// Add adds the counts of o.
func (c *Counts) Add(o *Counts) {
	c.LogObjects += o.LogObjects
	c.Bytes += o.Bytes
	c.Lines += o.Lines
	c.Counted += o.Counted
	c.Duplicates += o.Duplicates
	c.NoID += o.NoID
	c.Malformed += o.Malformed
	c.Other += o.Other
	c.FalseDuplicates += o.FalseDuplicates
	for why, n := range o.Left {
		c.Leave(why, n)
	}
}

// Leave counts n lines that were left out for a reason. The reasons are a short list in the code of the caller.
func (c *Counts) Leave(why string, n int64) {
	if c.Left == nil {
		c.Left = map[string]int64{}
	}
	c.Left[why] += n
}

// Cover stands for one log object: its name, and its content as the store's version and the size tell it. 64 bits of
// each: two of a million objects of a day have the same name's hash once in 40 million days.
type Cover struct{ Name, Content uint64 }

// MaxCovers is how many log objects one file may be made from. 16 bytes of each are in the file's footer.
const MaxCovers = 250_000

// appendTo returns the metadata of a file, by name.
func (m *Meta) metadata() (map[string]string, error) {
	if len(m.Covers) > MaxCovers {
		return nil, fmt.Errorf("%d log objects for one file, at most %d are possible", len(m.Covers), MaxCovers)
	}
	about, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	covers := make([]byte, 0, 16*len(m.Covers))
	for _, c := range m.Covers {
		covers = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(covers, c.Name), c.Content)
	}
	return map[string]string{
		metaVersion: strconv.Itoa(Version), metaKind: string(m.Kind), metaAbout: string(about), metaCovers: encodeCovers(covers),
	}, nil
}

// errForeign says that a Parquet file is no roll-up.
var errForeign = errors.New("it is no roll-up: `oci-proxyctl report rollup` makes them")

// errKind says that a roll-up has rows of another kind.
var errKind = errors.New("it is of another kind")

// metaOf reads the metadata of a file.
func metaOf(look func(string) (string, bool), kind Kind) (*Meta, error) {
	version, ok := look(metaVersion)
	switch {
	case !ok:
		return nil, errForeign
	case version != strconv.Itoa(Version):
		return nil, fmt.Errorf("its schema has version %.20q, and this program knows version %d: use a newer oci-proxyctl", version, Version)
	}
	m := &Meta{}
	if is, _ := look(metaKind); is != string(kind) {
		return nil, fmt.Errorf("%w: it has %.20q, and %q were to be read", errKind, is, kind)
	}
	about, _ := look(metaAbout)
	if len(about) > maxAbout || json.Unmarshal([]byte(about), m) != nil {
		return nil, fmt.Errorf("its metadata %s cannot be read", metaAbout)
	}
	m.Kind = kind
	covers, _ := look(metaCovers)
	raw, err := decodeCovers(covers)
	if err != nil || len(raw)%16 != 0 || len(raw)/16 > MaxCovers {
		return nil, fmt.Errorf("its metadata %s cannot be read", metaCovers)
	}
	for ; len(raw) > 0; raw = raw[16:] {
		m.Covers = append(m.Covers, Cover{binary.LittleEndian.Uint64(raw), binary.LittleEndian.Uint64(raw[8:])})
	}
	return m, nil
}

const maxAbout = 64 << 10

// monthOf returns the first day of a day's month.
func monthOf(d traffic.Day) traffic.Day {
	at := d.Time()
	return traffic.DayOf(at.AddDate(0, 0, 1-at.Day()))
}
