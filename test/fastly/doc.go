// Package fastly runs deploy/fastly/store.vcl on Varnish, from which Fastly's language comes.
//
// It knows which statements the two write in another way. It leaves out what only Fastly has, so it proves nothing about
// segments, shields and logs at Fastly.
package fastly
