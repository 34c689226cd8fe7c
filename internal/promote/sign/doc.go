// Package sign signs images with a cosign-compatible key, and checks the signatures of others.
//
// A promotion uses it at two points. Before it copies anything, [Policy.Check] says whether the image in the staging
// registry carries a signature or a provenance statement of a trusted key. When the image lies in a destination by
// its digest, and before any of its tags is set, [Signer.Ensure] adds our signature, once, in the canonical
// destination: the first that a project names. Both may be called again at any time, from any machine: they leave
// existing signatures alone and add those that an earlier run missed.
//
// It knows cosign's simple signing (a payload and its signature as a layer below the tag sha256-HEX.sig) and its
// newer bundles (a referrer with a DSSE envelope around an in-toto statement), with keys only: no certificates, no
// transparency log, no key management services. It must not know manifests, plans, stores, or the order of a
// promotion.
//
// Sources: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md and BUNDLE_SPEC at the same place;
// the DSSE protocol, version 1; in-toto Statement, version 1.
package sign
