// Package test runs the built oci-proxy among real servers and real clients, all on loopback.
//
//	make test         the tests here that are quick, after those beside the code
//	make test-slow    those named TestSlow…, whose parts take minutes to build
//	go test -run TestPullFromEverywhere/podman ./...    one of them, in this directory
//
// The harness is in the packages beside this one: parts starts and ends programs; registry, s3, containerd and clients
// know one kind of program each; image makes what is pulled; hop plays the load balancer; proxy runs the program under
// test; world puts them together and keeps the books of who sent which bytes; script runs the scripts of testdata/http.
//
// A test whose programs are not installed is skipped, unless OCIPROXY_REQUIRE_PARTS is set. Nothing here sleeps: what
// takes a while is polled, with a deadline. What a program said is shown when its test fails.
package test
