// Package endpoints is the published list of the hosts that clients of a registry may be sent to: its format, how to
// read it from an untrusted server, how two lists differ, and what firewalls need of it.
//
// It knows the JSON of docs/firewalls.md. It must not know the config, how a list is fetched, or who signs it: a small
// tool for users links it. Package endpoints/hostlist makes lists.
package endpoints
