// Package infra says what the infrastructure must have so that the servers and the mirror of a config can work: the
// buckets by account, and the front. It compares that with what exists, and makes stanzas of the config from what the
// modules in deploy/terraform have created.
//
// It knows the variables and outputs of these modules. It must not know credentials, how a bucket is asked, or how
// results are shown.
package infra
