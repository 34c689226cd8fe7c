// Package apply carries out plans of promotions: it brings images into every store and every destination, and only then sets tags.
//
// The order is the promise. Of each image first the blobs, into the stores with their inventories and into the destinations, the source
// being read once for all of them; then the manifests by digest, read back; then it is waited until every proxy knows what the stores
// hold; then the tags. Whoever follows a tag finds all of it wherever the proxy sends them. Images pass through these steps
// beside each other, and wait at the same time, so that a thousand images take as long to settle as one.
//
// Every step may be repeated. What was done is seen in the registries and stores themselves: a run that was killed leaves nothing
// behind that the next one needs to know, and the write by which a plan sees that an image is promoted is always the last.
//
// It knows plans, registries, stores and what must come before what. It must not know manifests' files, commands, or how results are
// shown.
package apply
