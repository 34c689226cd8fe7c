package delivered

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// world makes lines of both logs: each kind of client cuts another part of its downloads, and the mix of kinds is the test's.
type world struct {
	next int
}

// cuts is how often a kind cuts the download of a blob of 1 MiB, in the middle.
var cuts = map[string]float64{"containerd/2.1": 0.05, "crane/0.22": 0.4, "curl/8": 0.9}

func (w *world) day(day traffic.Day, mix map[string]int, withID bool, each func(*usage.Use, *accesslog.Record)) (sent float64) {
	for _, source := range []traffic.Source{traffic.FromProxy, traffic.FromStore} {
		rnd := rand.New(rand.NewPCG(uint64(day), 7))
		id := w.next
		for _, agent := range []string{"containerd/2.1", "crane/0.22", "curl/8"} {
			for range mix[agent] {
				size := int64(4 << 10)
				if rnd.IntN(4) == 0 {
					size = 1 << 20
				}
				got := size
				if size == 1<<20 && rnd.Float64() < cuts[agent] {
					got /= 2
				}
				id++
				use := usage.Use{Digest: fmt.Sprint("sha256:", size)}
				use.Key = traffic.Key{Day: day, Store: "s3", Class: traffic.Client, Operation: traffic.Get, Source: source}
				use.Requests = 1
				rec := accesslog.Record{UserAgent: agent, Size: -1}
				if withID {
					use.RID = fmt.Sprint(id)
				}
				if source == traffic.FromProxy {
					use.Bytes, rec.Size = float64(size), size
				} else {
					use.Bytes = float64(got)
					sent += use.Bytes
				}
				each(&use, &rec)
			}
		}
		if source == traffic.FromStore {
			w.next = id
		}
	}
	return sent
}

// Factors of some days must give the bytes of another day, on which the clients are others.
func TestAnotherMixOnAnotherDay(t *testing.T) {
	w := &world{}
	var l Learner
	for day := range traffic.Day(3) {
		w.day(100+day, map[string]int{"containerd/2.1": 8000, "crane/0.22": 4000, "curl/8": 3000}, false, l.Add)
	}
	f := l.Factors()
	plain, estimate := 0.0, 0.0
	sent := w.day(200, map[string]int{"containerd/2.1": 1000, "crane/0.22": 2000, "curl/8": 9000}, false, func(use *usage.Use, rec *accesslog.Record) {
		if use.Source != traffic.FromProxy {
			return
		}
		plain += use.Bytes
		if err := f.Apply(use, rec); err != nil {
			t.Fatal(err)
		}
		estimate += use.Bytes
	})
	if off := math.Abs(estimate/sent - 1); off > 0.02 {
		t.Errorf("%.1f %% off", 100*off)
	}
	if off := plain/sent - 1; off < 0.3 {
		t.Errorf("without factors it is %.1f %% off: the test proves nothing", 100*off)
	}
	one := f.Of(Class{Store: "s3", Kind: "curl", Size: SizeOf(1 << 20)})
	if off := math.Abs(one.Ratio - 0.55); off > 4*one.Error || one.Error > 0.02 || one.Days != 3 {
		t.Errorf("factor %+v of curl, want 0.55", one)
	}
}

// With ids, lines that were lost do not look like cut downloads.
func TestPairsSurviveLostLines(t *testing.T) {
	for _, withID := range []bool{true, false} {
		w := &world{}
		var l Learner
		rnd := rand.New(rand.NewPCG(1, 1))
		w.day(100, map[string]int{"containerd/2.1": 20000}, withID, func(use *usage.Use, rec *accesslog.Record) {
			if use.Source == traffic.FromProxy || rnd.Float64() > 0.1 {
				l.Add(use, rec)
			}
		})
		f := l.Factors()
		if !withID {
			if u := f.Unequal(); f.Known() || len(u) != 1 || u[0].Store != "s3" || math.Abs(u[0].Complete-0.9) > 0.01 {
				t.Errorf("a tenth of the lines is lost, and %v was left out; learned: %v", u, f.Known())
			}
			continue
		}
		got := f.Of(Class{Store: "s3", Kind: "containerd", Size: SizeOf(1 << 20)}).Ratio
		if want := 1 - 0.05/2; math.Abs(got-want) > 0.02 || len(f.Unequal()) > 0 {
			t.Errorf("factor %.3f, want %.3f; left out: %v", got, want, f.Unequal())
		}
	}
}

// TestStoresWithoutALog: canonical has no log. Its requests are no downloads that were cut.
func TestStoresWithoutALog(t *testing.T) {
	w := &world{}
	var l Learner
	w.day(100, map[string]int{"containerd/2.1": 4000}, false, func(use *usage.Use, rec *accesslog.Record) {
		l.Add(use, rec)
		if use.Source == traffic.FromProxy {
			use.Store = "main"
			l.Add(use, rec)
		}
	})
	f := l.Factors()
	if got := f.Of(Class{}).Ratio; got < 0.95 || len(f.Unequal()) > 0 {
		t.Errorf("factor %.3f of all; left out: %v", got, f.Unequal())
	}
}

// TestCorrection: what was changed is told by store, with the error that the days' differences give.
func TestCorrection(t *testing.T) {
	w := &world{}
	var l Learner
	for day := range traffic.Day(4) {
		w.day(100+day, map[string]int{"crane/0.22": 4000}, false, l.Add)
	}
	c := NewCorrection(l.Factors())
	sent := 0.0
	for _, day := range []traffic.Day{103, 200, 202} { // the first was learned from
		got := w.day(day, map[string]int{"crane/0.22": 3000}, false, func(use *usage.Use, rec *accesslog.Record) {
			if err := c.Each(use, rec); err != nil {
				t.Fatal(err)
			}
		})
		if day >= 200 {
			sent += got
		}
	}
	list := c.List()
	if len(list) != 1 || list[0].Store != "s3" || list[0].First != 200 || list[0].Last != 202 || list[0].Days != 2 {
		t.Fatalf("%+v", list)
	}
	one := list[0]
	if off := math.Abs(one.Sent - sent); off > 3*one.Error || one.Error > 0.05*sent || one.Error == 0 {
		t.Errorf("%.0f bytes ± %.0f, really %.0f", one.Sent, one.Error, sent)
	}
	if r := c.Ratio("s3", "", 200); math.Abs(r-0.8) > 0.05 {
		t.Errorf("ratio %.3f of a corrected day", r)
	}
	if r := c.Ratio("s3", "", 103); r != 1 {
		t.Errorf("ratio %.3f of a day that was learned from", r)
	}
}

func TestNeverJudgedOnItsOwnDays(t *testing.T) {
	w := &world{}
	var l Learner
	w.day(100, map[string]int{"containerd/2.1": 1000}, false, l.Add)
	f := l.Factors()
	own, others := 0, 0
	w.day(100, map[string]int{"containerd/2.1": 10}, false, func(use *usage.Use, rec *accesslog.Record) {
		var e *OwnDayError
		if errors.As(f.Apply(use, rec), &e) {
			own++
		}
		use.Store = "main" // it has no log, so nothing was learned from it
		if _, ok, err := f.apply(use, rec); ok && err == nil {
			others++
		}
	})
	if own != 10 || others != 10 {
		t.Errorf("%d of 10 lines refused, and %d of 10 of another store corrected", own, others)
	}
}

func TestTooLittleIsKnown(t *testing.T) {
	w := &world{}
	var l Learner
	w.day(100, map[string]int{"containerd/2.1": 4000, "curl/8": 100}, false, l.Add)
	f := l.Factors()
	for class, want := range map[Class]Class{
		{Store: "s3", Kind: "containerd", Size: 1}: {Store: "s3", Kind: "containerd", Size: 1},
		{Store: "s3", Kind: "containerd", Size: 5}: {Store: "s3", Kind: "containerd"},
		{Store: "gs", Kind: "containerd", Size: 1}: {Kind: "containerd", Size: 1},
		{Store: "s3", Kind: "curl", Size: 3}:       {Store: "s3"},
		{Store: "gs", Kind: "curl", Size: 3}:       {},
	} {
		if got := f.Of(class); got.Class != want {
			t.Errorf("%+v: learned of %+v, want %+v", class, got.Class, want)
		}
	}
	if got := (*Factors)(nil).Of(Class{}); got.Ratio != 1 {
		t.Errorf("without factors: %+v", got)
	}
}

func TestKindOf(t *testing.T) {
	for agent, want := range map[string]Kind{
		"containerd/v2.1.4": "containerd", "Amazon%20CloudFront": "amazon cloudfront", "": other, "my-tool/1": other,
		"docker/27.3.1 go/go1.22": "docker", "Go-http-client/2.0": "go-http-client", "Containers/5.30 (github.com/containers/image)": "containers",
	} {
		if got := KindOf(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}
