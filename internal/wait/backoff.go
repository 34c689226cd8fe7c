package wait

import (
	"math/rand/v2"
	"time"
)

// Doubled returns first, doubled n times, and at most most. A negative n is none.
func Doubled(first time.Duration, n int, most time.Duration) time.Duration {
	n = max(n, 0)
	if first > most>>n { // it would be more, or no longer fit
		return most
	}
	return first << n
}

// Jitter returns from half of d up to d, by chance, so that those who failed together do not all come back together.
func Jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return d
	}
	return d/2 + rand.N(d-d/2)
}

// About returns d, a tenth more or less by chance: an interval, so that those who began together do not stay together.
func About(d time.Duration) time.Duration {
	if d <= 0 {
		return d
	}
	return d - d/10 + rand.N(d/5+1)
}
