// Package check examines a valid config as an operator does before a rollout. It shows which store serves which client
// cloud, and (Live) whether every store and upstream really does what the proxy and container runtimes need.
//
// It knows the words of the config, HTTP as clients speak it, and enough about manifests to find a blob that a store
// should hold. It must not link a registry client, must not follow the proxy's own decisions, and writes nothing
// anywhere: every request is an anonymous GET or HEAD.
package check
