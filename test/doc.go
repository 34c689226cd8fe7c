// Package test runs the built oci-proxy among real servers and real clients, all on loopback.
//
//	make test         the quick tests here, after the tests beside the code
//	make test-slow    the tests named TestSlow…, which take minutes
//	go test -run TestPullFromEverywhere/podman ./...    one test, in this directory
//
// The harness is in the packages next to this one. Package parts starts and ends programs. The packages registry, s3,
// containerd and clients know one kind of program each. image makes what is pulled. hop plays the load balancer. proxy
// runs the program under test. world puts them together and records who sent which bytes. script runs the scripts of
// testdata/http. browser is a Chromium that records what a page does.
//
// A test is skipped if its programs are not installed, unless OCIPROXY_REQUIRE_PARTS is set. Tests do not sleep: they
// poll, with a deadline. When a test fails, it shows what its programs printed.
package test
