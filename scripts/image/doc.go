// Command image makes the project's container images without a daemon and without a base image: one index for each
// program, with an image for each platform. It writes them as OCI layouts, or pushes them to a registry. `make image`
// runs it.
//
// An image has a static binary, the certificate authorities, a user that is not root, and for the server the feeds. It
// is a function of the binaries, the feeds and the flags: the same input gives the same digests. Times in it are those
// of the commit and of the feeds.
package main
