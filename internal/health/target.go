package health

import "ociproxy/internal/oci"

// Object is something that a target is known to hold.
type Object struct {
	// URL answers GET with the object.
	URL string
	// Digest of the object; sha256 and sha512 are verified.
	Digest oci.Digest
	// Size in bytes; negative: unknown.
	Size int64
	// Whole says that the object is only read completely (a manifest: registries need not serve parts of one).
	Whole bool
}

// Target is a candidate that can be probed.
type Target struct {
	// Name is unique; it appears in metrics and logs.
	Name string
	// Origin identifies the server or bucket behind the name, for instance its URL. When it changes, the monitor
	// forgets everything about the name.
	Origin string
	// Sample returns a random object the target is known to hold, of at most maxSize bytes (0: of any size), and
	// false when there is none. It is called from several goroutines and should return at once. Nil: never any.
	Sample func(maxSize int64) (Object, bool)
	// Ping is the URL to ask when there is no sample: for upstreams their /v2/, where 401 is good too. "": without a
	// sample the target is not probed.
	Ping string
	// Accept is sent with every request; "" for */*.
	Accept string
	// FollowRedirects follows up to three redirects, never from https to http. It is for registries, which send
	// clients to their storage for blobs; a store answers itself.
	FollowRedirects bool
	// RangeOptional accepts a 200 with the complete object as an answer to a Range request. It is for registries, where
	// the specification leaves ranges optional.
	RangeOptional bool
	// Prove asks for the proof of [View.Proof]: more frequent probes that read complete objects, ranges, and from a
	// position to the end as a client that resumes, in turn.
	Prove bool
	// Allow takes one request of the target's quota; a refusal is no signal. Nil: no quota.
	Allow func() bool
}

// Results of a probe, for metrics.
const (
	ResultOK        = "ok"
	ResultFailed    = "failed"
	ResultNeutral   = "neutral"   // no signal: 401, 403, 404, 410, 429, 451, our own limits
	ResultDiscarded = "discarded" // this process did not run for a while
)

// Results lists the closed set of results.
func Results() []string { return []string{ResultOK, ResultFailed, ResultNeutral, ResultDiscarded} }
