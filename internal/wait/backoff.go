package wait

import (
	"math/rand/v2"
	"time"
)

// Doubled returns first, doubled n times, but at most most. It treats a negative n as 0.
func Doubled(first time.Duration, n int, most time.Duration) time.Duration {
	n = max(n, 0)
	if first > most>>n { // it would exceed most or overflow
		return most
	}
	return first << n
}

// Jitter returns a random time from half of d up to d, so that clients that failed together do not all retry
// together.
func Jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return d
	}
	return d/2 + rand.N(d-d/2)
}

// About returns d, randomly changed by up to a tenth. Use it for intervals, so that tasks that began together drift
// apart.
func About(d time.Duration) time.Duration {
	if d <= 0 {
		return d
	}
	return d - d/10 + rand.N(d/5+1)
}
