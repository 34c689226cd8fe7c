package wait

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// At the end of the time, the error contains the result of the last attempt.
func TestWithin(t *testing.T) {
	errBusy := errors.New("status 502")
	for name, tt := range map[string]struct {
		fails []error // of the attempts, each after a second
		hangs bool    // whether the attempt after them hangs
		own   error   // what f returns instead of its context's error
		want  string
	}{
		"attempts that fail":     {fails: []error{errors.New("first"), errBusy}, want: "no answer within 3s: get: the last attempt: status 502"},
		"the last one hangs":     {fails: []error{errBusy}, hangs: true, want: "no answer within 3s: get: the last attempt: status 502"},
		"nothing but hanging":    {hangs: true, want: "no answer within 3s: get: context deadline exceeded"},
		"it knows why by itself": {fails: []error{errBusy}, own: errors.New("enough"), want: "no answer within 3s: get: enough"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := Within(t.Context(), 3*time.Second, func(ctx context.Context) error {
					for _, err := range tt.fails {
						if For(ctx, time.Second) == nil {
							Failed(ctx, err)
						}
					}
					<-ctx.Done()
					if tt.hangs {
						Failed(ctx, fmt.Errorf("dial: %w", ctx.Err()))
					}
					if tt.own != nil {
						return fmt.Errorf("get: %w", tt.own)
					}
					// Like a method of a bucket, whose errors begin with the operation.
					_, why := Noting(ctx)
					return fmt.Errorf("get: %w", why(ctx.Err()))
				})
				got := err.Error()
				got = strings.Replace(got, "no answer within 3s: the last attempt:", "no answer within 3s: get: the last attempt:", 1)
				if got != tt.want {
					t.Errorf("%q, want %q", err, tt.want)
				}
				if tt.own == nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v is no time-out", err)
				}
				if len(tt.fails) > 0 && tt.own == nil && !errors.Is(err, tt.fails[len(tt.fails)-1]) {
					t.Errorf("%v is not the last attempt's", err)
				}
			})
		})
	}
}

// If the outer context ends, that is not this wait's time-out. The outer wait reports what was recorded.
func TestNoting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errBusy := errors.New("busy")
		ctx, why := Noting(ends(t, time.Second))
		err := Within(ctx, time.Minute, func(ctx context.Context) error {
			Failed(ctx, errBusy)
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if !errors.Is(err, errEnough) || strings.Contains(err.Error(), "within") {
			t.Errorf("%v, want %v", err, errEnough)
		}
		if err := why(err); !errors.Is(err, errBusy) || !errors.Is(err, errEnough) {
			t.Errorf("%v, want both", err)
		}
		if err := why(errBusy); err != errBusy { //nolint:errorlint // the same error value
			t.Errorf("%v: another error is replaced", err)
		}
	})
	Failed(t.Context(), errEnough) // without a waiting caller
}
