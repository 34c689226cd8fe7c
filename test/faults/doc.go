// Package faults breaks what oci-proxy works with, one thing at a time, while clients pull, and holds it to its promise:
// a pull succeeds whenever any place that could serve it is alive.
//
//	make test-slow                                             all of them, with the other slow tests
//	OCIPROXY_SLOW=1 go test -run 'TestSlowFaults/store_down' ./faults    one of them, in test/
//
// The parts are real: CNCF distribution for the upstreams, versitygw for the stores, inventories published by
// write.Writer, the built oci-proxy. Each fault has a world of its own: buckets, images, a proxy process. Between the
// clients and each upstream or store stand a TCP proxy (toxiproxy) and a gate (an HTTP reverse proxy), both told to
// misbehave by the fault.
//
// Clients do what a kubelet with containerd does: HEAD of the tag, index, manifest, blobs, every digest verified; a
// download that breaks off is resumed once where it stopped; a pull that failed is tried again, at most twice, 5 s apart,
// and keeps what it has. Where servers hang they wait 10 s where containerd waits minutes; elsewhere they are patient, for
// this machine may be busy. Some faults have a real containerd pulling too.
//
// What an operator sees and does in each of them is in the tables of docs/faults.md; a test compares the names.
package faults
