// Package check examines a valid config as an operator does before a roll-out. It shows which store serves which
// client cloud, and (Live) whether every store and upstream really does what the proxy and container runtimes need.
//
// It knows the config's words, HTTP as clients speak it, and enough of manifests to find a blob that a store should
// hold. It must not link a registry client, must not follow the proxy's own decisions, and writes nothing anywhere:
// every request is an anonymous GET or HEAD.
package check
