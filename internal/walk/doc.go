// Package walk walks a registry: the tags, manifests and children of the repositories that are selected, and what refers to them.
//
// It knows what belongs to an image, when all of it was met, and what a walk that never ends or reads everything twice would look
// like. A [Visitor] is told what a [Walker] finds and may keep an image from being finished until its blobs have arrived;
// [Source.Images] and [Closer.Closure] are the two visits that need nothing but the answer.
//
// It only reads. It must not know stores, how registries are spoken to, or what is done with what it finds.
package walk
