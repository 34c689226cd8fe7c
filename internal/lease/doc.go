// Package lease keeps two runs apart, on whatever machines they are, by small objects in the buckets that they write to.
//
// A [Lease] lies in up to three buckets. Its holder writes it again and again; who wants it watches it for a while. No two clocks are
// ever compared, and a holder that could not renew stops before anybody else may begin.
//
// The package knows how an object in a bucket becomes a lease. It must not know what is done under it.
package lease
