// Package fronts rehearses two fronts under one name on loopback: two authoritative name servers of different
// makes, two fronts of haproxy and oci-proxy with a certificate each, and clients that resolve the name themselves. And
// it tests that a real nginx and CloudFront's function let through what the server answers.
package fronts
