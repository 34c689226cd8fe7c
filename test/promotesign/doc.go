// Package promotesign tests, with cosign itself, that what oci-proxyctl signs verifies, and that what cosign signs counts.
package promotesign
