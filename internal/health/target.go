package health

import "ociproxy/internal/oci"

// Object is something a target is known to hold.
type Object struct {
	// URL answers GET with the object.
	URL string
	// Digest of the object; sha256 and sha512 are verified.
	Digest oci.Digest
	// Size in bytes; negative: unknown.
	Size int64
	// Whole says that the object is only asked for as a whole (a manifest: registries need not serve parts of one).
	Whole bool
}

// Target is a candidate that can be probed.
type Target struct {
	// Name is unique; it appears in metrics and logs.
	Name string
	// Origin identifies what stands behind the name, its URL for instance. When it changes, all that is known about
	// the name is forgotten.
	Origin string
	// Sample returns a random object the target is known to hold, of at most maxSize bytes (0: of any size), and
	// false when there is none. It is called from several goroutines and should return at once. Nil: never any.
	Sample func(maxSize int64) (Object, bool)
	// Ping is a URL to ask when there is no sample: for upstreams their /v2/, where 401 is good too. "": without a
	// sample the target is not probed.
	Ping string
	// Accept is sent with every request; "" for */*.
	Accept string
	// FollowRedirects follows up to three redirects, never from https to http. For registries, which send blobs to
	// their storage; a store answers itself.
	FollowRedirects bool
	// RangeOptional takes a 200 with the whole object for an answer to a Range request. For registries, where the
	// specification leaves ranges optional.
	RangeOptional bool
	// Allow asks for a token of the target's request quota; a refusal is no signal. Nil: no quota.
	Allow func() bool
}

// Results of a probe, for metrics.
const (
	ResultOK        = "ok"
	ResultFailed    = "failed"
	ResultNeutral   = "neutral"   // no signal: 401, 403, 404, 410, 429, 451, limits of our own
	ResultDiscarded = "discarded" // this process did not run for a while
)

// Results lists the closed set of results.
func Results() []string { return []string{ResultOK, ResultFailed, ResultNeutral, ResultDiscarded} }
