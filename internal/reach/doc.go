// Package reach learns from repeated requests whether clients can download from their nearest store.
//
// A redirector never sees a download. It sees only one sign of a failure: the client asks for the same blob again.
// But a second machine behind the same address looks the same. So a repeat proves nothing; it starts an experiment.
// The proxy sends the address to another candidate, and the next requests show which of the two it was.
//
// Progress is the proof: a client that asks for more than [parallel] blobs of one repository has downloaded some of
// them, because no runtime has more under way at once.
//
// It owns [Table], a fixed amount of memory for all addresses, and [Span], which distinguishes a repeated range from
// a parallel download. It must not know candidates, configuration or HTTP: it says how far past its nearest candidate
// an address is sent, and its caller finds the candidate.
package reach
