package proxy

import (
	"testing"
	"testing/synctest"
	"time"
)

// A probe took the only request of a small quota, so the first client got 429.
func TestClientsComeFirst(t *testing.T) {
	for _, rps := range []float64{0.01, 1, 3, 100} {
		synctest.Test(t, func(t *testing.T) {
			q := newQuota(rps)
			for range 1000 {
				q.spare()
			}
			if !q.client() {
				t.Errorf("%v a second: a probe took what the first client needs", rps)
			}
		})
	}
}

// Clients that use up a quota must not hide that its upstream is broken, and the total must not exceed the quota.
func TestAUsedUpQuotaIsShared(t *testing.T) {
	for _, rps := range []float64{0.1, 1, 50} {
		synctest.Test(t, func(t *testing.T) {
			q := newQuota(rps)
			clients, ours := 0, 0
			const ticks = 10_000
			for range ticks {
				time.Sleep(time.Duration(float64(time.Second) / rps / 10)) //nolint:forbidigo // virtual time, 10 per allowed one
				if q.client() {
					clients++
				}
				if q.spare() {
					ours++
				}
			}
			allowed := ticks/10 + max(1, int(rps))
			if all := clients + ours; all > allowed+1 || all < allowed*9/10 {
				t.Errorf("%v a second: %d requests of %d", rps, all, allowed)
			}
			if ours < allowed*8/100 || ours > allowed*12/100 {
				t.Errorf("%v a second: this process made %d of %d requests, want a tenth", rps, ours, allowed)
			}
		})
	}
}

func TestNoQuota(t *testing.T) {
	var q *quota
	for range 100 {
		if !q.client() || !q.spare() {
			t.Fatal("refused without a limit")
		}
	}
}
