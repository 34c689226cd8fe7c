// Package plan answers where the next copy of the layers should be: what each possible region changes in money and
// round trips, which set of regions is best, and how sure that is.
//
// It knows how demand, possible stores and prices make a problem for [ociproxy/internal/plan/solve], and how to replay
// a set of stores through the router of the server. It must not know flags, how to show results, the layouts of logs and
// roll-ups.
package plan
