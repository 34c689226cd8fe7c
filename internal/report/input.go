package report

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"time"

	"ociproxy/internal/bill"
	"ociproxy/internal/config"
	"ociproxy/internal/traffic"
)

// Input is what a report is made from.
type Input struct {
	Config *config.Config
	// File is the name of the config, for the commands in the report.
	File string
	Book *bill.Book
	// Begin is the first day, End the day after the last one.
	Begin, End traffic.Day
	Per        Per
	Now        time.Time
	// Rows gives the rows of all sources, in any order. It is ranged over once or twice and must give the same rows.
	// Rows of other days are left out.
	Rows iter.Seq2[*traffic.Row, error]
	// Objects gives what is known of single blobs; nil: nothing.
	Objects iter.Seq2[*traffic.Object, error]
	// Seen is the share of a day in which Prometheus saw an instance, for each day that it was asked about.
	Seen map[traffic.Day]float64
	// Held is how many bytes each store holds, by its name. A store that is not in it has no storage on its bill.
	Held map[string]float64
	// Before says what the payers used in a month besides this registry, by their own bills; nil: nothing is known.
	Before func(month traffic.Day) bill.Before
	// Charges asks for [Report.Charges].
	Charges bool
	// Repositories is how many repositories of all periods are kept; 0: 100,000. Of more, the smallest are added up.
	Repositories int
	// Blobs is how many blobs are kept; 0: 100,000. Of more, the smallest are added up.
	Blobs int
}

// repositories is the bound of memory for names that strangers can make up.
func (in *Input) repositories() int { return cmp.Or(in.Repositories, 100_000) }

// blobs is the bound of memory for digests: a blob takes some 250 bytes.
func (in *Input) blobs() int { return cmp.Or(in.Blobs, 100_000) }

// maxDays bounds reports by the day: each day has its own flows in memory.
const maxDays = 100

// ErrTooLong says that a report by the day has too many days.
var ErrTooLong = errors.New("a report by the day has at most 100 days")

// Make makes the report. The error is ctx's, that of a source, or [ErrTooLong].
func Make(ctx context.Context, in *Input) (*Report, error) {
	if in.Per == PerDay && in.End-in.Begin > maxDays {
		return nil, ErrTooLong
	}
	w := newWorld(in)
	t := newTally(w)
	if err := in.read(ctx, t.add); err != nil {
		return nil, err
	}
	c := t.choose()
	bills := w.bills(t, c)
	s := newSums(w, c, bills)
	if err := in.tables(ctx, t, c, s); err != nil {
		return nil, err
	}
	if in.Objects != nil && !t.several() {
		if err := s.objects(in.Objects); err != nil {
			return nil, err
		}
	}
	return s.report(t), ctx.Err()
}

// read calls add with all rows of the report's days.
func (in *Input) read(ctx context.Context, add func(*traffic.Row)) error {
	read := 0
	for row, err := range in.Rows {
		if err != nil {
			return err
		}
		if row.Day >= in.Begin && row.Day < in.End {
			add(row)
		}
		if read++; read%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// tables fills the tables: from the sums of the first reading if they tell enough, and otherwise by reading the rows again.
func (in *Input) tables(ctx context.Context, t *tally, c *choices, s *sums) error {
	k := t.kept
	if t.kept = nil; k != nil && t.fits(c) {
		s.all(k)
		return nil
	}
	k = newKept(s.w, c)
	err := in.read(ctx, func(r *traffic.Row) {
		if s.w.known[r.Store] == nil {
			return
		}
		if k.add(r); k.full() {
			s.all(k)
			k = newKept(s.w, c)
		}
	})
	if err == nil {
		s.all(k)
	}
	return err
}
