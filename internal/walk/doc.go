// Package walk walks a registry: the tags, manifests and children of the selected repositories, and their referrers.
//
// It knows what belongs to an image and when all of it was met. It avoids walks that never end or read everything
// twice. A [Walker] reports what it finds to a [Visitor], which may keep an image from being finished until its blobs
// have arrived. [Source.Images] and [Closer.Closure] are the two visits that need nothing but the answer.
//
// It only reads. It must not know stores, how registries are accessed, or what is done with what it finds.
package walk
