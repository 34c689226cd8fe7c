// Package probeid knows the probe identity: one request header in which a prober claims to be a client at some
// address, signed with an operator's ed25519 key. It knows how to write it ([Sign]), and how one instance of the server
// verifies it ([Keys]): the signature, the age, that each identity is used once, and how many signatures it may cost
// the instance to verify.
//
// It must not know HTTP servers, what a claimed address is used for, or what refused requests get.
package probeid
