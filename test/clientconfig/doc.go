// Package clientconfig tests docs/client-configs.md: each marked block of the page is written where a real client reads it, and
// the client pulls with it through oci-proxy. Of clients that do not run here it looks up the keys in their source.
//
// It knows where each client reads its configuration. It must not know what the blocks say: it takes them from the page.
package clientconfig
