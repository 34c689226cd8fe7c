// Package admission holds tests of oci-proxyctl store admit with real parts on loopback: CNCF distribution is the
// canonical upstream, versitygw has the stores, the mirror fills them, and crane, skopeo, podman and containerd pull. A
// front before a store puts one fault at a time into its answers.
package admission
