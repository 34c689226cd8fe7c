// Package promotesign tests, with cosign itself, that cosign verifies what oci-proxyctl signs, and that oci-proxyctl
// accepts what cosign signs.
package promotesign
