// Package rollout tests how a change reaches the instances of two deployments, how it is judged there, and how it is
// taken back: on real parts, while clients pull.
package rollout
