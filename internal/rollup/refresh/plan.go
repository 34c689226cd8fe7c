package refresh

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/logsource"
	"ociproxy/internal/rollup"
	"ociproxy/internal/shard"
	"ociproxy/internal/store"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// Options of a [Plan].
type Options struct {
	Into       store.Bucket // where the roll-ups are; nil plans as if there were none
	From       []*logsource.Source
	Days       logsource.Days // of log objects
	Shard      shard.Shard
	Classifier *usage.Classifier
	Reader     func() *accesslog.Reader // see [gather.Options]
	// Redo makes files again that would be left as they are.
	Redo bool
	// DropAddresses leaves out of results and of the files whatever was quoted from a line of a log.
	DropAddresses bool
	Dir           string // for spilled runs; "" is the directory for temporary files
	Memory        int64  // see [rollup.CollectorOptions]
	Top           int    // as above
	Workers       int    // how many logs are read at once
	Now           func() time.Time
}

// Reopen is how long after a month's end a file of the month is made again when the logs have changed.
const Reopen = 7 * 24 * time.Hour

// State is what is to be done with the logs of one place and day.
type State string

// These are the states.
const (
	New     State = "new"     // there is no file
	Changed State = "changed" // log objects have come or grown since the file was made
	Same    State = "same"
	// Closed: the logs have changed, but the month ended more than [Reopen] ago.
	Closed State = "closed"
	// Gone: log objects from which the file was made are gone, and others have come. The file stays, because it has
	// what cannot be read again.
	Gone State = "gone"
	// Overlapping: another place that has these logs, too, was rolled up into the same directory.
	Overlapping State = "overlapping"
	// TooMany: a day has more log objects than one file can be made from.
	TooMany State = "too-many"
)

// Unit is the logs of one place and day, from which a file of rows and one of objects are made.
type Unit struct {
	Logs       string `json:"logs"`
	Day        string `json:"day"` // rollup.Undated: the names of the log objects have no day
	State      State  `json:"state"`
	LogObjects int    `json:"logObjects"`
	Bytes      int64  `json:"bytes"` // of the log objects
	Why        string `json:"why,omitempty"`

	from       *logsource.Source
	day        traffic.Day
	compressed int64 // bytes of log objects whose names say that they are compressed
	covers     []rollup.Cover
	versions   [2]string // of the files of rows and objects; "": there is none
}

// Due reports whether the files of the unit are to be made.
func (u *Unit) Due() bool { return u.State == New || u.State == Changed }

// Plan is what a run would do.
type Plan struct {
	Units []*Unit // in the order of days
	// Others is how many units belong to other shards.
	Others int

	opt  Options
	free func(dir string) (int64, error) // bytes that a disk has left
}

// Due lists the units that are to be made, and the bytes of their logs.
func (p *Plan) Due() (due []*Unit, bytes int64) {
	for _, u := range p.Units {
		if u.Due() {
			due = append(due, u)
			bytes += u.Bytes
		}
	}
	return due, bytes
}

// NewPlan lists the logs, and compares them with the roll-ups. It writes nothing.
func NewPlan(ctx context.Context, opt Options) (*Plan, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.Workers = max(opt.Workers, 1)
	p := &Plan{opt: opt, free: free}
	dir := cmp.Or(opt.Dir, os.TempDir())
	if _, err := free(dir); err != nil {
		return nil, fmt.Errorf("%s, the directory for temporary files (TMPDIR): %w", dir, err)
	}
	for i, s := range opt.From {
		for _, other := range opt.From[:i] {
			if logsource.Overlaps(s.String(), other.String()) {
				return nil, fmt.Errorf("the logs in %s would count twice: they are also in %s", s, other)
			}
		}
		if s.Stdin() {
			return nil, errors.New("stdin cannot be rolled up: it has no name by which a second run would know it again")
		}
		if err := p.list(ctx, s); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(p.Units, func(a, b *Unit) int { return strings.Compare(a.Day, b.Day) })
	if opt.Into == nil {
		return p, nil
	}
	return p, p.compare(ctx)
}

// number is by what units are divided over shards: consecutive days of one place belong to different shards.
func (u *Unit) number() uint64 { return hash(u.Logs) + uint64(u.day) }

func (p *Plan) list(ctx context.Context, s *logsource.Source) error {
	units := map[traffic.Day]*Unit{}
	others := map[traffic.Day]bool{}
	for o, err := range s.List(ctx, p.opt.Days) {
		if err != nil {
			return err
		}
		if o.Size < 0 {
			return fmt.Errorf("%s is no regular file: a second run would not know it again", o)
		}
		u := units[o.Day]
		if u == nil {
			u = &Unit{Logs: s.String(), Day: DayName(o.Day), State: New, from: s, day: o.Day}
			if !p.opt.Shard.Mine(u.number()) {
				others[o.Day] = true
				continue
			}
			units[o.Day] = u
			p.Units = append(p.Units, u)
		}
		u.LogObjects++
		u.Bytes += o.Size
		if o.Compressed() {
			u.compressed += o.Size
		}
		if u.LogObjects <= rollup.MaxCovers {
			u.covers = append(u.covers, Cover(o))
		}
	}
	p.Others += len(others)
	for _, u := range units {
		sortCovers(u.covers)
	}
	return nil
}

// DayName returns the day in the name of a log, as [rollup.Meta] has it.
func DayName(d traffic.Day) string {
	if d == 0 {
		return rollup.Undated
	}
	return d.String()
}

func hash(text string) uint64 {
	sum := sha256.Sum256([]byte(text))
	return binary.LittleEndian.Uint64(sum[:])
}

// Cover returns what stands for a log object in the metadata of a roll-up.
func Cover(o *logsource.Object) rollup.Cover {
	return rollup.Cover{Name: hash(o.Name), Content: hash(o.Version + " " + strconv.FormatInt(o.Size, 10))}
}

func sortCovers(all []rollup.Cover) {
	slices.SortFunc(all, func(a, b rollup.Cover) int {
		switch {
		case a.Name != b.Name && a.Name < b.Name, a.Name == b.Name && a.Content < b.Content:
			return -1
		case a == b:
			return 0
		}
		return 1
	})
}

// file returns the key of a unit's file.
func (u *Unit) file(kind rollup.Kind) string { return rollup.Name(kind, u.Day, u.Logs) }

// asking is how many files are asked for their metadata at once.
const asking = 16

// compare sets the states of the units.
func (p *Plan) compare(ctx context.Context) error {
	sizes := map[string]int64{}
	for _, kind := range []rollup.Kind{rollup.Rows, rollup.Objects} {
		for at, err := range p.opt.Into.List(ctx, string(kind)+"/", "") {
			if err != nil {
				return fmt.Errorf("list the roll-ups: %w", err)
			}
			if strings.HasSuffix(at.Key, rollup.Suffix) {
				sizes[at.Key] = at.Size
			}
		}
	}
	siblings := map[string][]string{} // files of rows of a day
	for key := range sizes {
		siblings[path.Dir(key)] = append(siblings[path.Dir(key)], key)
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(asking)
	for _, u := range p.Units {
		work.Go(func() error {
			if len(u.covers) < u.LogObjects {
				u.State, u.Why = TooMany, fmt.Sprintf("a day may have %d log objects: name a longer prefix", rollup.MaxCovers)
				return nil
			}
			for _, key := range siblings[path.Dir(u.file(rollup.Rows))] {
				if key == u.file(rollup.Rows) {
					continue
				}
				m, _, err := rollup.About(ctx, p.opt.Into, key, sizes[key], rollup.Rows)
				if err != nil {
					return err
				}
				if logsource.Overlaps(m.Logs, u.Logs) {
					u.State, u.Why = Overlapping, fmt.Sprintf("%s was rolled up from %s", key, m.Logs)
					return nil
				}
			}
			return p.look(ctx, u, sizes)
		})
	}
	return work.Wait()
}

// look reads what is there for a unit, and sets its state.
func (p *Plan) look(ctx context.Context, u *Unit, sizes map[string]int64) error {
	var is [2]*rollup.Meta
	for i, kind := range []rollup.Kind{rollup.Rows, rollup.Objects} {
		size, ok := sizes[u.file(kind)]
		if !ok {
			continue
		}
		m, at, err := rollup.About(ctx, p.opt.Into, u.file(kind), size, kind)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		default:
			is[i], u.versions[i] = m, at.Version
		}
	}
	if is[0] == nil {
		u.State = New
		return nil
	}
	gone, other := differ(is[0].Covers, u.covers)
	switch half := is[1] == nil || !slices.Equal(is[0].Covers, is[1].Covers); {
	case p.opt.Redo:
		u.State, u.Why = Changed, "it was to be made again"
	case other == 0 && !half, other == 0 && gone > 0:
		u.State = Same
	case gone > 0:
		u.State, u.Why = Gone, fmt.Sprintf("%d log objects that it was made from are gone, %d came or grew", gone, other)
	case p.closed(u.day) && !half:
		u.State, u.Why = Closed, fmt.Sprintf("%d log objects came or grew after the month was closed", other)
	default:
		u.State, u.Why = Changed, fmt.Sprintf("%d log objects came or grew", other)
	}
	return nil
}

// differ counts the log objects that are gone since the file was made, and those that have come or have other content.
func differ(was, is []rollup.Cover) (gone, other int) {
	names := make(map[uint64]uint64, len(was))
	for _, c := range was {
		names[c.Name] = c.Content
	}
	for _, c := range is {
		if content, ok := names[c.Name]; !ok || content != c.Content {
			other++
		}
		delete(names, c.Name)
	}
	return len(names), other
}

// closed reports whether the month of a day is closed.
func (p *Plan) closed(d traffic.Day) bool {
	if d == 0 {
		return false
	}
	at := d.Time()
	end := time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	return p.opt.Now().After(end.Add(Reopen))
}
