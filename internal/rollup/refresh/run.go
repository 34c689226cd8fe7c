package refresh

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"time"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/logsource"
	"ociproxy/internal/rollup"
	"ociproxy/internal/rollup/gather"
	"ociproxy/internal/store"
	"ociproxy/internal/usage"
)

// Report is what a run did.
type Report struct {
	Made    int           `json:"made"`    // units whose files were made
	ByOther int           `json:"byOther"` // units that another run made at the same time, from the same logs
	Same    int           `json:"same"`    // units that were up to date
	Others  int           `json:"others"`  // units of other shards
	Rows    int64         `json:"rows"`
	Written int64         `json:"bytesWritten"`
	Spilled int64         `json:"bytesSpilled"`
	Counts  rollup.Counts `json:"counts"`
	Unsized int64         `json:"withoutBytes"`
	Damaged int64         `json:"damagedLogObjects"`
	// Far is how many lines do not count because they are more than [rollup.Slack] days from the day of their log.
	Far int64 `json:"ofFarDays"`
	// Window and Missed say which duplicates are noticed.
	Window string           `json:"duplicateWindow"`
	Missed string           `json:"duplicatesNotNoticed"`
	Left   []usage.Leftover `json:"leftOut"`
	// Unknown counts the fields of logs that are not known, by name.
	Unknown map[string]int64 `json:"unknownFields"`
	Faults  []string         `json:"faults"`
	Failed  []Failure        `json:"failed"`
}

// Failure is a unit that is not up to date.
type Failure struct {
	Unit
	Err string `json:"error"`
}

// missed is what [Report.Missed] says.
const missed = "copies of a line more than an hour apart, in the logs of different days or places, or without a request id"

// ErrDisk says that the disk is too small for what may be spilled.
var ErrDisk = errors.New("not enough room on the disk")

// Disk returns how many bytes a run may spill at most at the same time, and how many are left on the disk.
func (p *Plan) Disk() (need, left int64, dir string) {
	dir = cmp.Or(p.opt.Dir, os.TempDir())
	due, _ := p.Due()
	for _, u := range due {
		need = max(need, p.spill(u))
	}
	left, err := p.free(dir)
	if err != nil {
		left = 0
	}
	return need, left, dir
}

// At worst each line asks for another digest. Then its fingerprint and its group take some 270 bytes on the disk: half
// of a line of a bucket's log, and six times one that is compressed. 5 million lines with 500,000 digests took half of it.
const (
	perPlain, perCompressed = 0.6, 6
	inMemory                = 4 << 20  // logs whose sums and fingerprints fit into memory
	least                   = 16 << 20 // for the files that are made
)

// spill is how much a unit may spill.
func (p *Plan) spill(u *Unit) int64 {
	return Spill(u.Bytes, u.compressed)
}

// Spill is how many bytes of disk logs may take while they are read: bytes of logs, of which some are compressed.
func Spill(bytes, compressed int64) int64 {
	if bytes < inMemory {
		return least
	}
	return least + int64(float64(bytes-compressed)*perPlain+float64(compressed)*perCompressed)
}

// Free returns the directory for temporary files, and how many bytes its disk has left for this user.
func Free() (left int64, dir string) {
	dir = os.TempDir()
	left, err := free(dir)
	if err != nil {
		return 0, dir
	}
	return left, dir
}

// Run makes the files of the units that are due. A unit that fails does not keep the others from being made. The error
// is about all: ctx ended, or the disk is too small. Files that were made stay.
func (p *Plan) Run(ctx context.Context, progress *gather.Progress) (*Report, error) {
	r := &Report{Window: rollup.Window.String(), Missed: missed, Others: p.Others, Left: []usage.Leftover{}, Unknown: map[string]int64{}, Faults: []string{}, Failed: []Failure{}}
	if need, left, dir := p.Disk(); need > left {
		return r, fmt.Errorf("%w: up to %d bytes may be spilled to %s, which has %d left", ErrDisk, need, dir, left)
	}
	left := &usage.Left{}
	var err error
	for _, u := range p.Units {
		switch {
		case u.State == Same:
			r.Same++
		case !u.Due():
			r.Failed = append(r.Failed, Failure{*u, u.Why})
		default:
			if e := p.make(ctx, u, r, left, progress); e != nil {
				if ctx.Err() != nil {
					err = context.Cause(ctx)
					break
				}
				r.Failed = append(r.Failed, Failure{*u, e.Error()})
			}
		}
		if err != nil {
			break
		}
	}
	r.Left = append(r.Left, left.List()...)
	if p.opt.DropAddresses {
		r.Faults = []string{}
	}
	return r, err
}

// attempts is how often a unit is made again because another run has just replaced its files.
const attempts = 3

func (p *Plan) make(ctx context.Context, u *Unit, r *Report, left *usage.Left, progress *gather.Progress) error {
	for try := 0; ; try++ {
		err := p.try(ctx, u, r, left, progress)
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) || try == attempts {
			return err
		}
		// Another run has replaced a file. If it knew the same log objects, there is nothing left to do.
		u.versions = [2]string{}
		sizes := map[string]int64{}
		for _, kind := range []rollup.Kind{rollup.Rows, rollup.Objects} {
			at, err := p.opt.Into.Head(ctx, u.file(kind))
			if err == nil {
				sizes[u.file(kind)] = at.Size
			} else if !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		again := *p
		again.opt.Redo = false
		if err := again.look(ctx, u, sizes); err != nil {
			return err
		}
		if u.State == Same {
			r.ByOther++
			return nil
		}
		if !u.Due() {
			return errors.New(u.Why)
		}
	}
}

// objects lists the log objects of a unit again.
func (u *Unit) objects(ctx context.Context) iter.Seq2[*logsource.Object, error] {
	return func(yield func(*logsource.Object, error) bool) {
		days := logsource.Days{Begin: u.day, End: u.day + 1}
		if u.day == 0 {
			days = logsource.Days{Begin: 1, End: 2} // skips all that have a day
		}
		for o, err := range u.from.List(ctx, days) {
			if err == nil && o.Day != u.day {
				continue
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}

func (p *Plan) try(ctx context.Context, u *Unit, r *Report, left *usage.Left, progress *gather.Progress) error {
	c := rollup.NewCollector(rollup.CollectorOptions{Dir: p.opt.Dir, Memory: p.opt.Memory, Parts: p.opt.Workers, Top: p.opt.Top})
	defer c.Close()
	days := logsource.Days{}
	if u.day != 0 { // readers of some days do not open files of others
		days = logsource.Days{Begin: u.day - rollup.Slack, End: u.day + rollup.Slack + 1}
	}
	got, err := gather.Run(ctx, u.objects(ctx), gather.Options{
		Days: days, Classifier: p.opt.Classifier, Collector: c, Workers: p.opt.Workers, Reader: p.opt.Reader, Progress: progress,
	})
	if err != nil {
		return err
	}
	counts, err := c.Finish(ctx)
	if err != nil {
		return err
	}
	m := rollup.Meta{Logs: u.Logs, LogDay: u.Day, Made: p.opt.Now().UTC().Truncate(time.Second), Counts: *counts, From: got.From}
	u.covers = nil
	for _, o := range got.Read {
		u.covers = append(u.covers, Cover(o))
	}
	sortCovers(u.covers)
	m.Covers = u.covers
	// The file of objects first: that of rows says that the unit is done.
	size, _, err := p.put(ctx, u, rollup.Objects, func(w io.Writer) (int64, error) { return rollup.WriteObjects(w, m, c.Objects(ctx)) })
	if err != nil {
		return err
	}
	more, rows, err := p.put(ctx, u, rollup.Rows, func(w io.Writer) (int64, error) { return rollup.WriteRows(w, m, c.Rows(ctx)) })
	if err != nil {
		return err
	}
	r.Made++
	r.Rows += rows
	r.Written += size + more
	r.Spilled += c.Spilled()
	r.Counts.Add(counts)
	r.Unsized += got.Unsized
	r.Damaged += got.Damaged
	r.Far += got.Passed
	left.Merge(&got.Left)
	for name, n := range got.Unknown {
		r.Unknown[name] += n
	}
	for _, f := range got.Faults[:min(len(got.Faults), max(0, maxFaults-len(r.Faults)))] {
		r.Faults = append(r.Faults, f.String())
	}
	return nil
}

// maxFaults is how many faults of logs a report shows.
const maxFaults = 20

// put writes a file of a unit, if it still has the version that the plan saw.
func (p *Plan) put(ctx context.Context, u *Unit, kind rollup.Kind, write func(io.Writer) (int64, error)) (size, rows int64, err error) {
	file, err := atomicfile.Scratch(p.opt.Dir, "rollup")
	if err != nil {
		return 0, 0, err
	}
	defer atomicfile.CloseScratch(file)
	sha, crc := sha256.New(), crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if rows, err = write(io.MultiWriter(file, sha, crc)); err != nil {
		return 0, 0, err
	}
	if size, err = file.Seek(0, io.SeekCurrent); err != nil {
		return 0, 0, err
	}
	version := &u.versions[0]
	if kind == rollup.Objects {
		version = &u.versions[1]
	}
	content := store.FromFile(file, size, hex.EncodeToString(sha.Sum(nil)), crc.Sum32())
	at, err := p.opt.Into.Put(ctx, u.file(kind), content, store.Header{ContentType: "application/vnd.apache.parquet"}, *version)
	if err != nil {
		return 0, 0, err
	}
	*version = at.Version
	return size, rows, nil
}
