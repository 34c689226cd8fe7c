// Command image makes the project's container images without a daemon and without a base image: one index for each
// program, with an image for each platform. It writes them as OCI layouts, or pushes them to a registry. `make image`
// runs it.
//
// An image has a static binary, the certificate authorities and a user that is not root. The server's image also has
// the feeds. The images depend only on the binaries, the feeds and the flags: the same input gives the same digests.
// The times in an image are those of the commit and of the feeds.
package main
