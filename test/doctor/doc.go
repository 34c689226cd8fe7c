// Package doctor tests oci-doctor and its script on a machine of its own with a broken network: firewalls, resolvers,
// proxies and interceptors between a client and a real registry, store and oci-proxy.
package doctor
