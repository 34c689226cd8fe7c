package refresh

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/logsource"
	"ociproxy/internal/ranges"
	"ociproxy/internal/rollup"
	"ociproxy/internal/rollup/rolluptest"
	"ociproxy/internal/shard"
	"ociproxy/internal/store"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// scene is a directory of logs, and one of roll-ups.
type scene struct {
	logs, into string
	opt        Options
	now        time.Time
}

var classifier = sync.OnceValues(func() (*usage.Classifier, error) {
	cfg, err := config.Parse("config.yaml", []byte(rolluptest.Config))
	if err != nil {
		return nil, err
	}
	where, err := ranges.New(cfg.Ranges, cfg.Map(), ranges.Options{})
	if err != nil {
		return nil, err
	}
	return usage.New(cfg, where, usage.Options{})
})

const firstDay traffic.Day = 20788 // 2026-12-01

func newScene(t *testing.T) *scene {
	t.Helper()
	c, err := classifier()
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{logs: t.TempDir(), into: t.TempDir(), now: firstDay.Time().AddDate(0, 0, 10)}
	b, err := store.Open(t.Context(), "file://"+s.into, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	from, err := logsource.Parse(t.Context(), s.logs, logsource.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.opt = Options{Into: b, From: []*logsource.Source{from}, Classifier: c, Workers: 2, Dir: t.TempDir(), Now: func() time.Time { return s.now }}
	return s
}

// write writes a log of a day; gzipped if its number is even.
func (s *scene) write(t *testing.T, day traffic.Day, number int, lines []rolluptest.Line) {
	t.Helper()
	name := filepath.Join(s.logs, fmt.Sprintf("%s-0%d-15-22-%08X", day, number%10, number))
	text := rolluptest.Text(lines)
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if number%2 == 0 {
		z := gzip.NewWriter(file)
		_, err = z.Write(text)
		if err == nil {
			err = z.Close()
		}
	} else {
		_, err = file.Write(text)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s *scene) plan(t *testing.T) *Plan {
	t.Helper()
	p, err := NewPlan(t.Context(), s.opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *scene) run(t *testing.T) *Report {
	t.Helper()
	r, err := s.plan(t).Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *scene) rows(t *testing.T) (rows []traffic.Row) {
	t.Helper()
	for r, err := range rollup.Read(t.Context(), s.into, rollup.Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, *r)
	}
	return rolluptest.Merged(rows)
}

func (s *scene) want(t *testing.T, lines []rolluptest.Line) {
	t.Helper()
	if diff := rolluptest.Differ(rolluptest.Sums(lines), s.rows(t)); diff != "" {
		t.Fatalf("the sums are wrong:\n%s", diff)
	}
}

// TestShards splits random logs, with duplicates in other log objects of the day, over any number of shards, which run in
// any order and again, and wants the sums of the model.
func TestShards(t *testing.T) {
	for seed := range uint64(2) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := newScene(t)
		s.opt.Memory = []int64{256 << 10, 0}[seed%2] // spills, or not
		var all []rolluptest.Line
		for day := range traffic.Day(3) {
			lines := rolluptest.Lines(r, firstDay+day, 400, 300)
			lines = append(lines, lines[:40]...)
			r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
			all = append(all, lines...)
			for i := range 4 {
				s.write(t, firstDay+day, i, lines[i*110:(i+1)*110])
			}
		}
		of := 1 + r.IntN(4)
		order := r.Perm(of)
		made, objects := 0, int64(0)
		for _, i := range append(order, order[0]) {
			s.opt.Shard = shard.Shard{Index: i, Of: of}
			report := s.run(t)
			made += report.Made
			objects += report.Counts.LogObjects
			if report.Made+report.Same+report.Others != 3 {
				t.Errorf("seed %d, shard %d/%d: %+v", seed, i, of, report)
			}
		}
		if made != 3 || objects != 12 {
			t.Errorf("seed %d: %d files made of %d log objects, want 3 of 12", seed, made, objects)
		}
		s.want(t, all)
	}
}

// TestGrowth wants days to be made again when a log has grown or come, and only those.
func TestGrowth(t *testing.T) {
	s, r := newScene(t), rand.New(rand.NewPCG(1, 1))
	one, two := rolluptest.Lines(r, firstDay, 100, 5), rolluptest.Lines(r, firstDay+1, 100, 5)
	s.write(t, firstDay, 1, one[:50])
	s.write(t, firstDay+1, 1, two)
	if got := s.run(t); got.Made != 2 {
		t.Fatalf("first run: %+v", got)
	}
	s.want(t, slices.Concat(one[:50], two))
	if got := s.run(t); got.Made != 0 || got.Same != 2 {
		t.Fatalf("nothing has changed: %+v", got)
	}
	s.write(t, firstDay, 1, one[:70])     // grew
	s.write(t, firstDay+1, 2, one[70:80]) // came; a line is in the logs of the day after
	if got := s.run(t); got.Made != 2 {
		t.Fatalf("logs have changed: %+v", got)
	}
	s.want(t, slices.Concat(one[:80], two))
	// A run that died between the two files makes both again.
	objects := filepath.Join(s.into, rollup.Name(rollup.Objects, firstDay.String(), s.logs))
	if err := os.Remove(objects); err != nil {
		t.Fatal(err)
	}
	if got := s.run(t); got.Made != 1 || got.Same != 1 {
		t.Fatalf("half of a day is missing: %+v", got)
	}
	s.want(t, slices.Concat(one[:80], two))
}

// TestReopen wants closed months and deleted logs to stay as they are, unless it is told otherwise.
func TestReopen(t *testing.T) {
	s, r := newScene(t), rand.New(rand.NewPCG(1, 1))
	lines := rolluptest.Lines(r, firstDay, 100, 5)
	s.write(t, firstDay, 1, lines[:50])
	s.run(t)
	s.write(t, firstDay, 3, lines[50:])
	s.now = time.Date(2027, 1, 8, 0, 0, 1, 0, time.UTC)
	if got := s.run(t); got.Made != 0 || len(got.Failed) != 1 || got.Failed[0].State != Closed {
		t.Fatalf("seven days after the month: %+v", got)
	}
	s.want(t, lines[:50])
	s.now = s.now.Add(-2 * time.Second)
	if got := s.run(t); got.Made != 1 {
		t.Fatalf("within seven days: %+v", got)
	}
	s.want(t, lines)
	old := filepath.Join(s.logs, fmt.Sprintf("%s-01-15-22-%08X", firstDay, 1))
	if err := os.Remove(old); err != nil {
		t.Fatal(err)
	}
	if got := s.run(t); got.Same != 1 || len(got.Failed) > 0 {
		t.Fatalf("a log was deleted: %+v", got)
	}
	s.want(t, lines)
	s.write(t, firstDay, 5, lines[:10])
	if got := s.run(t); got.Made != 0 || len(got.Failed) != 1 || got.Failed[0].State != Gone {
		t.Fatalf("a log was deleted and another came: %+v", got)
	}
	s.want(t, lines)
	s.opt.Redo = true
	if got := s.run(t); got.Made != 1 {
		t.Fatalf("redo: %+v", got)
	}
	s.want(t, append(slices.Clone(lines[50:]), lines[:10]...))
}

// TestOverlap wants logs refused that another place has, too.
func TestOverlap(t *testing.T) {
	s, r := newScene(t), rand.New(rand.NewPCG(1, 1))
	s.write(t, firstDay, 1, rolluptest.Lines(r, firstDay, 10, 5))
	s.run(t)
	above, err := logsource.Parse(t.Context(), filepath.Dir(s.logs), logsource.Options{})
	if err != nil {
		t.Fatal(err)
	}
	both := s.opt
	both.From = append(slices.Clone(both.From), above)
	if _, err := NewPlan(t.Context(), both); err == nil {
		t.Error("two places with the same logs were accepted")
	}
	s.opt.From = []*logsource.Source{above}
	p := s.plan(t)
	if i := slices.IndexFunc(p.Units, func(u *Unit) bool { return u.Day == firstDay.String() }); i < 0 || p.Units[i].State != Overlapping {
		t.Errorf("the directory above: %+v", p.Units)
	}
}

// TestMeet lets runs meet: both have planned before one of them begins, and the logs grow between.
func TestMeet(t *testing.T) {
	s, r := newScene(t), rand.New(rand.NewPCG(1, 1))
	lines := rolluptest.Lines(r, firstDay, 100, 5)
	s.write(t, firstDay, 1, lines[:50])
	first, second := s.plan(t), s.plan(t)
	if got, err := first.Run(t.Context(), nil); err != nil || got.Made != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := second.Run(t.Context(), nil); err != nil || got.Made != 0 || got.ByOther != 1 {
		t.Fatalf("the same logs were there: %+v, %v", got, err)
	}
	s.want(t, lines[:50])
	s.write(t, firstDay, 3, lines[50:80])
	first, second = s.plan(t), s.plan(t)
	if _, err := first.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s.write(t, firstDay, 5, lines[80:])
	if got, err := second.Run(t.Context(), nil); err != nil || got.Made != 1 || len(got.Failed) > 0 {
		t.Fatalf("more logs were there: %+v, %v", got, err)
	}
	s.want(t, lines)
	var work sync.WaitGroup
	s.opt.Redo = true
	for range 3 {
		p := s.plan(t)
		work.Go(func() {
			if got, err := p.Run(context.Background(), nil); err != nil || len(got.Failed) > 0 {
				t.Errorf("at once: %+v, %v", got, err)
			}
		})
	}
	work.Wait()
	s.want(t, lines)
}

// TestLeftOut wants malformed lines, lines of others and damaged logs counted and named.
func TestLeftOut(t *testing.T) {
	s, r := newScene(t), rand.New(rand.NewPCG(1, 1))
	lines := rolluptest.Lines(r, firstDay, 10, 5)
	text := append(rolluptest.Text(lines), "not a line\n9a1e0c2f4b7d layers-fra [12/Dec/2026:08\n"...)
	other := rolluptest.Line{Store: "s3-xxx", At: firstDay.Time()}
	text = other.Append(text)
	if err := os.WriteFile(filepath.Join(s.logs, firstDay.String()+"-01-00-00-A"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.write(t, firstDay, 2, lines) // the same again, gzipped
	cut := filepath.Join(s.logs, firstDay.String()+"-02-15-22-00000002")
	if err := os.Truncate(cut, 100); err != nil {
		t.Fatal(err)
	}
	got := s.run(t)
	if got.Damaged != 1 || got.Counts.Malformed != 2 || len(got.Left) != 1 || got.Left[0].Reason != usage.ForeignBucket || len(got.Faults) != 3 {
		t.Errorf("%+v", got)
	}
	s.want(t, lines)
	quiet := s.opt
	quiet.DropAddresses, quiet.Redo = true, true
	p, err := NewPlan(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Run(t.Context(), nil); err != nil || got.Made != 1 || len(got.Faults) > 0 {
		t.Errorf("with text of lines, or not made: %+v, %v", got, err)
	}
	infos, err := rollup.Infos(t.Context(), s.into, rollup.Options{})
	if err != nil || len(infos) != 1 || infos[0].Counts.Left[string(usage.ForeignBucket)] != 1 || infos[0].Logs != s.logs || infos[0].LogDay != firstDay.String() {
		t.Errorf("%+v, %v", infos, err)
	}
}

// TestDisk wants a run refused that the disk has no room for, before it begins.
func TestDisk(t *testing.T) {
	s, r := newScene(t), rand.New(rand.NewPCG(1, 1))
	s.write(t, firstDay, 1, rolluptest.Lines(r, firstDay, 10, 5))
	p := s.plan(t)
	need, left, dir := p.Disk()
	if need != least || left <= 0 || dir != s.opt.Dir {
		t.Errorf("need %d, left %d in %s", need, left, dir)
	}
	p.Units[0].Bytes, p.Units[0].compressed = 10<<30, 4<<30
	if need, _, _ := p.Disk(); need < 27<<30 || need > 28<<30 {
		t.Errorf("10 GiB, of which 4 are compressed, need %d", need)
	}
	p.free = func(string) (int64, error) { return 1 << 30, nil }
	if got, err := p.Run(t.Context(), nil); !errors.Is(err, ErrDisk) || got.Made > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if rows, err := os.ReadDir(s.into); err != nil || len(rows) > 0 {
		t.Errorf("something was written: %v, %v", rows, err)
	}
	s.opt.Dir = filepath.Join(s.opt.Dir, "none")
	if _, err := NewPlan(t.Context(), s.opt); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), s.opt.Dir+", the directory for temporary files") {
		t.Errorf("without a directory for temporary files: %v", err)
	}
}
