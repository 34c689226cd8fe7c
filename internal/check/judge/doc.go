// Package judge asks servers as clients do, one request at a time, and says what is right and wrong about the answers:
// blobs, ranges, manifests, and content that does not exist.
//
// It knows HTTP, the OCI distribution specification and what runtimes rely on. It must not know why somebody asks, the
// config, or what a store or upstream is.
package judge
