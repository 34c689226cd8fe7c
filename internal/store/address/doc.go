// Package address takes the URLs of buckets apart, as the config has them under `bucket`, and says where anonymous
// clients read what is in such a bucket.
//
// It knows the kinds of buckets, the public names of the clouds' services, and where things lie in a store. It must not
// know credentials or how to make a request. The server may link it; it must not link package store.
package address
