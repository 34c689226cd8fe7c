// Package switch_test tests the operators' side of publications on a real S3 server: oci-proxyctl config and store off,
// with several operators at once, and with one that is killed.
package switch_test
