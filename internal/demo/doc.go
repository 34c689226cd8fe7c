// Package demo runs everything in one process: two registries, five stores in three clouds, the real proxy between
// them, and clients from seven places, all on loopback and without network.
//
// It has two uses. Left running, it serves pulls with curl, crane, docker or containerd before the operator owns a
// single bucket. Run once, it checks the complete flow: it pulls an image as each of seven clients, and fails when any
// byte came from a wrong place.
//
// It knows how a registry and a bucket look from outside, and what the proxy should decide in this small setup. It
// must not know how the proxy decides. It talks to the proxy over HTTP, asks it for explanations, and compares both
// with the requests that the registries and stores saw.
package demo
