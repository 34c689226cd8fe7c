// Package lease keeps two runs from working at the same time, on any machines, with small objects in the buckets that
// they write to.
//
// A [Lease] lies in up to three buckets. Its holder rewrites it regularly. A run that wants the lease watches it for
// a while. The package never compares two clocks. A holder that could not renew stops before another run may begin.
//
// The package knows how an object in a bucket becomes a lease. It must not know what is done under it.
package lease
