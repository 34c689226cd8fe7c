package ranges

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ociproxy/internal/fetch"
	"ociproxy/internal/wait"
)

const (
	defaultRefresh = 6 * time.Hour
	filePoll       = time.Minute // how often local files are checked; one stat call if they did not change
	firstRetry     = time.Minute // pause after a failed refresh; doubles up to the refresh interval
)

// retries are the pauses before a refresh asks again after a fault that may be temporary.
var retries = []time.Duration{250 * time.Millisecond, time.Second}

// source is a feed or a GeoIP file.
type source interface {
	// get asks once and reports whether there is something new to use. One loop does not call it concurrently, but
	// several loops may. A failure changes nothing that is in use.
	get(ctx context.Context) (changed bool, err error)
	local() bool
	report(now time.Time) FeedStatus
}

func (r *Ranges) sources() []source {
	var all []source
	for _, f := range r.feeds {
		all = append(all, f)
	}
	for _, f := range r.geo.files() {
		all = append(all, f)
	}
	return all
}

// Run refreshes every feed independently until ctx is done: at once, then at the configured interval. It asks a feed
// that failed sooner. It checks local files every minute, or at the refresh interval if that is shorter. A slow or
// broken feed never delays another.
func (r *Ranges) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range r.sources() {
		wg.Go(func() { r.follow(ctx, s) })
	}
	wg.Wait()
}

// follow refreshes one source until ctx is done.
func (r *Ranges) follow(ctx context.Context, s source) {
	failed := 0 // failed refreshes in a row
	for {
		if err := r.refreshOne(ctx, s); err != nil {
			failed++
		} else {
			failed = 0
		}
		if wait.For(ctx, r.pause(s, failed)) != nil {
			return
		}
	}
}

// Refresh refreshes every feed once and returns what went wrong, each error with its feed's name.
func (r *Ranges) Refresh(ctx context.Context) error {
	sources := r.sources()
	errs := make([]error, len(sources))
	var wg sync.WaitGroup
	for i, s := range sources {
		wg.Go(func() { errs[i] = r.refreshOne(ctx, s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// refreshOne asks one source, with retries, and puts new data in use.
func (r *Ranges) refreshOne(ctx context.Context, s source) error {
	changed, err := s.get(ctx)
	for _, pause := range retries {
		if s.local() || !fetch.Temporary(err) || wait.For(ctx, wait.About(pause)) != nil {
			break
		}
		var more bool
		more, err = s.get(ctx)
		changed = changed || more
	}
	_, isFeed := s.(*feed)
	if changed && isFeed {
		r.rebuild()
	}
	st := s.report(time.Now())
	switch {
	case err != nil:
		if ctx.Err() == nil { // otherwise the caller gave up, which is not the feed's fault
			r.log.Warn("refresh ranges", "feed", st.Name, "error", err, "using", or(st.From, "nothing"), "age", st.Age.Round(time.Second))
		}
		return fmt.Errorf("feed %s: %w", st.Name, err)
	case changed:
		r.log.Info("ranges changed", "feed", st.Name, "from", st.From, "rows", st.Rows, "regionUnknown", st.Unknown)
	}
	return nil
}

// pause returns the time until a source is asked again, given the number of failed refreshes in a row.
func (r *Ranges) pause(s source, failed int) time.Duration {
	switch {
	case s.local():
		return wait.About(min(filePoll, r.refresh))
	case failed > 0:
		return wait.About(wait.Doubled(firstRetry, failed-1, r.refresh))
	}
	return wait.About(r.refresh)
}
