// Package demo is a whole world in one process: two registries, five stores in
// three clouds, the real proxy between them and clients from seven places, all
// on loopback and without network.
//
// It has two uses. Left running, it is something to pull from with curl, crane,
// docker or containerd before one owns a single bucket. Run once, it is a check
// of the whole flow: it pulls an image as each of seven clients and fails when
// any byte came from somewhere other than where it should have.
//
// What it knows: how a registry and a bucket look from outside, and what the
// proxy ought to decide in this one small world. What it must not know: how the
// proxy decides. It talks to the proxy over HTTP, asks it to explain itself,
// and compares both with what the registries and stores saw.
package demo
