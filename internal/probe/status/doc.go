// Package status writes the public status of a registry: a page and a JSON document in a bucket, for people outside.
//
// It knows which findings of a run are about pulls, the history of availability that the document itself keeps, how
// several probes share one document, and the page. Nothing else leaves: no host of a store, no address, no class of
// clients, no image and no text of an error. It must not know config, flags, or when runs are made.
package status
