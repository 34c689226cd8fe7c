// Package admission finds out whether a store may get traffic. It asks the store for everything that clients and the
// proxy will ask of it, compares it with its neighbours, makes sure that strangers can only read it, and pulls images
// through a private proxy on which only this store may serve.
//
// It bounds what it takes: requests, bytes and time. It writes nothing except for one small object with a made-up name,
// which the store must refuse. It must not know how results are shown, or where a record is kept.
package admission
