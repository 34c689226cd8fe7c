// Package outbound makes the transports and redirect policies of all HTTP requests that leave this program, so that the
// code for their common needs exists once: HTTP/2, the environment's proxy, and a time limit for every step in which a
// peer could keep us waiting.
//
// It knows net/http. It must not know which server is asked, or why: the callers decide the numbers, authentication,
// budgets and attempts. It imports nothing of this module.
package outbound
