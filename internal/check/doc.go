// Package check looks at a valid config the way an operator does before a roll-out: which client
// clouds are served by whom, and (Live) whether every store and upstream really does what the
// proxy and container runtimes need of it.
//
// It knows the config's words, HTTP as clients speak it, and enough of manifests to find a blob
// that a store should hold. It must not link a registry client, must not follow the proxy's own
// decisions, and writes nothing anywhere: every request is an anonymous GET or HEAD.
package check
