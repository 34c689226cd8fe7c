// Package provision knows the settings that the bucket of a store needs, how to compare them with what exists, and how
// to bring a bucket there.
//
// [Want] is the description: it makes no request. [Bucket.Look] compares and writes nothing. [Bucket.Apply] changes
// what differs, one setting after the other, so that an interrupted run is finished by the next one. What an operator
// added to a bucket stays. What a service does not have is reported as such, and never imitated.
//
// It must not know the server, blobs, or how results are shown.
package provision
