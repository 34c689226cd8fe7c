// Package reach learns, from what clients ask again, whether they get through to their nearest store.
//
// A redirector never sees a download. All it ever learns of a failure is that the same blob is asked for again,
// and a second machine behind the same address looks just like that. So a repeat proves nothing: it starts an
// experiment. The address is sent to another candidate, and what it asks for there tells which of the two it was.
//
// The proof that works is progress: a client that asks for more than [parallel] blobs of one repository has
// downloaded some of them, because no runtime has more under way at once.
//
// It owns [Table], a fixed amount of memory for all addresses, and [Span], which tells a repeated range from a
// parallel download. It must not know candidates, configuration or HTTP: it says how far past its nearest
// candidate an address is sent, and others find out where that is.
package reach
