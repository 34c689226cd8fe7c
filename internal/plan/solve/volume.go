package solve

import "math"

// bound improves the bound of the node from the given v, and returns it. It ends early when the bound reaches target.
// After it, bestV and bestRho belong to the bound, and meanY tells how often each site was open.
func (r *relaxation) bound(from []float64, target float64, steps int) float64 {
	copy(r.v, from)
	m := len(r.v)
	for i, v := range r.v {
		if math.IsInf(v, 1) { // not known: what the first option costs
			r.v[i] = r.fallback[i]
			if r.start[i] < r.start[i+1] {
				r.v[i] = r.cost[r.start[i]]
			}
		}
	}
	nu := len(r.site)
	disagree := r.harmful > 0
	u, bestU, gu, meanU := r.nowU[:nu], r.bestU[:nu], r.gu[:nu], r.meanU[:nu]
	if disagree {
		r.load(u)
		clear(gu)
	}
	best := r.at()
	if math.IsInf(best, 1) {
		return best
	}
	copy(r.bestV, r.v)
	copy(r.bestRho, r.rho)
	copy(r.mean, r.g)
	r.meanUSD = r.usd
	for s := range r.meanY {
		r.meanY[s] = is(r.choose.y[s])
	}
	if disagree {
		copy(bestU, u)
		copy(meanU, gu)
	}
	length, reds, alphaMax := 0.5, 0, 0.2
	for step := 0; step < steps && best < target; step++ {
		norm := dot(r.mean, r.mean)
		if disagree {
			norm += dot(meanU, meanU)
		}
		if norm < 1e-9 {
			break
		}
		goal := target
		if math.IsInf(goal, 1) || goal > best+0.1*math.Abs(best) {
			goal = best + 0.1*math.Abs(best) + 1e-6
		}
		t := length * (goal - best) / norm
		for i := range m {
			r.v[i] = r.bestV[i] + t*r.mean[i]
		}
		if disagree {
			for k := range u {
				u[k] = max(0, bestU[k]+t*meanU[k])
			}
		}
		now := r.at()
		if math.IsInf(now, 1) {
			return now
		}
		// The mean of subgradients is a better direction than one alone (the volume algorithm).
		a, b, c := dot(r.g, r.g), dot(r.g, r.mean), dot(r.mean, r.mean)
		if disagree {
			a, b, c = a+dot(gu, gu), b+dot(gu, meanU), c+dot(meanU, meanU)
		}
		alpha := alphaMax
		if d := a - 2*b + c; d > 0 {
			alpha = min(alphaMax, max((c-b)/d, alphaMax/10))
		}
		mix(r.mean, r.g, alpha)
		r.meanUSD += alpha * (r.usd - r.meanUSD)
		if disagree {
			mix(meanU, gu, alpha)
		}
		for s := range r.meanY {
			r.meanY[s] += alpha * (is(r.choose.y[s]) - r.meanY[s])
		}
		if now > best {
			if now-best > 1e-4*(goal-best) {
				reds = 0
			}
			best = now
			copy(r.bestV, r.v)
			copy(r.bestRho, r.rho)
			copy(bestU, u)
			if b > 0 {
				length = min(2, length*1.5)
			} else {
				length = min(2, length*1.1)
			}
		} else if reds++; reds >= 10 {
			reds = 0
			length *= 0.66
			alphaMax = max(0.02, alphaMax*0.8)
		}
	}
	if disagree {
		r.store(bestU)
	}
	r.last = best
	return best
}

// load and store move u between the node's options and all options.
func (r *relaxation) load(u []float64) {
	for k, e := range r.orig {
		u[k] = 0
		if e >= 0 {
			u[k] = r.u[e]
		}
	}
}

func (r *relaxation) store(u []float64) {
	for k, e := range r.orig {
		if e >= 0 {
			r.u[e] = u[k]
		}
	}
}

func is(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func dot(a, b []float64) (sum float64) {
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// mix moves a towards b.
func mix(a, b []float64, alpha float64) {
	for i := range a {
		a[i] += alpha * (b[i] - a[i])
	}
}
