// Package buckets holds tests of oci-proxyctl store create, and of the settings that it makes, with real stores on
// loopback: versitygw over TLS and in plain text, SeaweedFS, Azurite and fake-gcs-server. What a store does not enforce
// is said in docs/creating-stores.md.
package buckets
