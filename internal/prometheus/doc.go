// Package prometheus asks a Prometheus server for the present values of an expression. Every request has a time-out,
// and answers are bounded.
//
// It knows the HTTP API of Prometheus. It must not know what the expressions mean.
package prometheus
