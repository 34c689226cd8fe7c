package solve

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Solve returns the best set. When ctx or a limit ends the search, the result is the best set so far with its bound,
// and not proven. The error is [ErrInfeasible], a fault of the problem, or, when there is no set yet, [ErrLimit] or the
// cause of ctx. Equal problems give equal results, unless a search ends early.
func Solve(ctx context.Context, p *Problem, opt Options) (Result, error) {
	if err := p.check(); err != nil {
		return Result{}, err
	}
	return newSearch(ctx, p, p.weights(), opt).run()
}

// ByCount returns the best set for every number of open sites from Min to Max that has one, ascending. It searches on
// all cores. Options.Time is for all searches together, Options.Nodes for each. When ctx ends, it returns the sets that
// it has and the cause of ctx.
func ByCount(ctx context.Context, p *Problem, opt Options) ([]Result, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	most := len(p.Sites)
	if p.Max > 0 {
		most = min(most, p.Max)
	}
	var tasks []task
	for k := p.Min; k <= most; k++ {
		exactly := *p
		exactly.Min, exactly.Max = k, k
		if k == 0 {
			exactly.Sites = slices.Clone(p.Sites) // Max 0 is no bound
			for s := range exactly.Sites {
				exactly.Sites[s].Never = true
			}
		}
		tasks = append(tasks, task{&exactly, p.weights(), opt.Start})
	}
	return newSeries(ctx, opt, len(tasks)).run(tasks)
}

// Frontier returns sets from cheap and slow to dear and fast. Each is best for some PerMS: from its Result.PerMS to that
// of the next set. PerMS of the problem does not matter. Time, Nodes, cores and ctx are as for [ByCount].
//
// Sets that are best for no PerMS are not in it, although none may be both cheaper and faster. A Budget finds them.
func Frontier(ctx context.Context, p *Problem, opt Options) ([]Result, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	s := newSeries(ctx, opt, 0)
	ends, err := s.run([]task{{p, weights{1, 0}, opt.Start}, {p, weights{0, 1}, opt.Start}})
	if err != nil {
		return nil, err
	}
	cheap, fast := ends[0], ends[1]
	// Of the sets that cost the least, the fastest is wanted, and the other way round. The small weight can move an end
	// by a millionth of the distance between both.
	if cheap.MS-fast.MS > 0 && fast.USD-cheap.USD > 0 {
		slope := (fast.USD - cheap.USD) / (cheap.MS - fast.MS)
		ends, err = s.run([]task{{p, weights{1, 1e-6 * slope}, cheap.Open}, {p, weights{1e-6 / slope, 1}, fast.Open}})
		if err != nil {
			return nil, err
		}
	}
	points, err := s.between(p, ends)
	for i := range points {
		r := &points[i]
		r.PerMS = 0
		if i > 0 {
			r.PerMS = (r.USD - points[i-1].USD) / (points[i-1].MS - r.MS)
		}
		gap := r.Gap()
		r.Objective = r.USD + r.PerMS*r.MS
		r.Bound = r.Objective - gap*math.Abs(r.Objective)
	}
	return points, err
}

// between finds the sets between both ends: where a line through two neighbours has no set below, there is none between
// them (Aneja and Nair).
func (s *series) between(p *Problem, points []Result) ([]Result, error) {
	if !beyond(&points[0], &points[1]) {
		return points[:1], nil
	}
	done := []bool{false, true} // nothing is between this point and the next
	for {
		var tasks []task
		var at []int
		for i := range len(points) - 1 {
			if !done[i] {
				a, b := &points[i], &points[i+1]
				at = append(at, i)
				tasks = append(tasks, task{p, weights{1, (b.USD - a.USD) / (a.MS - b.MS)}, a.Open})
			}
		}
		if len(tasks) == 0 {
			return points, nil
		}
		found, err := s.run(tasks)
		if err != nil {
			return points, err
		}
		for k := len(found) - 1; k >= 0; k-- {
			i, r := at[k], found[k]
			line := tasks[k].w.of(points[i].USD, points[i].MS)
			if line-r.Objective <= 1e-9*(1+math.Abs(line)) || !beyond(&points[i], &r) || !beyond(&r, &points[i+1]) {
				done[i] = true
				points[i].Proven = points[i].Proven && r.Proven
				continue
			}
			points = slices.Insert(points, i+1, r)
			done = slices.Insert(done, i+1, false)
		}
	}
}

// beyond reports whether b is dearer and faster than a, by more than noise.
func beyond(a, b *Result) bool {
	return b.USD-a.USD > 1e-9*(1+math.Abs(a.USD)) && a.MS-b.MS > 1e-9*(1+math.Abs(a.MS))
}

// task is one search of a series.
type task struct {
	p     *Problem
	w     weights
	start []int
}

// series searches several problems, as many at once as there are cores. The results do not depend on how many.
type series struct {
	ctx   context.Context
	opt   Options
	end   time.Time
	mu    sync.Mutex // of Progress
	done  atomic.Int32
	total int
}

func newSeries(ctx context.Context, opt Options, total int) *series {
	s := &series{ctx: ctx, opt: opt, total: total}
	if opt.Time > 0 {
		s.end = time.Now().Add(opt.Time)
	}
	return s
}

// run returns the results in the order of the tasks, without those that have none.
func (s *series) run(tasks []task) ([]Result, error) {
	results, errs := make([]Result, len(tasks)), make([]error, len(tasks))
	workers := min(runtime.GOMAXPROCS(0), len(tasks))
	var next atomic.Int32
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(tasks) {
					return
				}
				opt := s.opt
				opt.Start = tasks[i].start
				opt.Progress = s.progress
				if !s.end.IsZero() { // a fair part of what is left
					left := max(time.Until(s.end), time.Millisecond)
					opt.Time = left * time.Duration(workers) / time.Duration(max(workers, len(tasks)-i))
				}
				results[i], errs[i] = newSearch(s.ctx, tasks[i].p, tasks[i].w, opt).run()
				s.done.Add(1)
			}
		})
	}
	wg.Wait()
	var out []Result
	for i := range results {
		switch {
		case errs[i] == nil:
			out = append(out, results[i])
		case !errors.Is(errs[i], ErrInfeasible) && s.ctx.Err() == nil:
			return out, errs[i]
		}
	}
	if len(out) == 0 && s.ctx.Err() == nil {
		return nil, ErrInfeasible
	}
	return out, context.Cause(s.ctx)
}

func (s *series) progress(p Progress) {
	if s.opt.Progress == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Set, p.Sets = int(s.done.Load())+1, s.total
	s.opt.Progress(p)
}
