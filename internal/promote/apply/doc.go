// Package apply carries out plans of promotions. It brings images into every store and every destination, and only
// then sets tags.
//
// The order is what the package guarantees. First it copies the blobs of each image into the stores, with their
// inventories, and into the destinations; it reads the source once for all of them. Then it pushes the manifests by
// digest and reads them back. Then it waits until every proxy knows what the stores hold. Then it sets the tags. So a
// client that follows a tag finds the complete image wherever the proxy sends it. Images pass through these steps in
// parallel, and wait at the same time: a thousand images take as long to settle as one.
//
// Every step may be repeated. The registries and stores themselves show what was done, so a killed run leaves no
// state that the next run needs. The last write of an image is always the one by which a plan sees that the image is
// promoted.
//
// It knows plans, registries, stores and the order of the steps. It must not know the files of manifests, commands,
// or how results are shown.
package apply
