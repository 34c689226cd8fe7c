// Package outbound makes the transports and the redirect policies of all HTTP requests that leave this program, so that
// what each of them needs is said once: HTTP/2, the environment's proxy, a bound for every step in which a peer could
// keep us waiting.
//
// It knows net/http. It must not know who is asked, or why: the numbers are the callers', and so are authentication,
// budgets and tries. It imports nothing of this module.
package outbound
