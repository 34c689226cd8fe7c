// Package faults breaks what oci-proxy works with, one thing at a time, while clients pull. It tests the promise of
// oci-proxy: a pull succeeds as long as any place that could serve it is alive.
//
//	make test-slow                                             all faults, with the other slow tests
//	OCIPROXY_SLOW=1 go test -run 'TestSlowFaults/store_down' ./faults    one fault, in test/
//
// The parts are real: CNCF distribution for the upstreams, versitygw for the stores, inventories published by
// write.Writer, the built oci-proxy. Each fault has a world of its own: buckets, images, a proxy process. A TCP proxy
// (toxiproxy) and a gate (an HTTP reverse proxy) stand between the clients and each upstream or store. The fault makes
// them misbehave.
//
// Clients do what a kubelet with containerd does. They send HEAD for the tag, then fetch index, manifest and blobs, and
// verify every digest. They resume a broken download once, where it stopped. They try a failed pull again, at most
// twice, 5 s apart, and keep what they have. Where servers hang, clients wait 10 s (containerd waits minutes);
// elsewhere they are patient, because this machine may be busy. For some faults a real containerd pulls too.
//
// docs/faults.md has tables of what an operator sees and does for each fault. A test compares the names.
package faults
