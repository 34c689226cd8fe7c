// Package token runs oci-proxyctl with OIDC tokens against token services that check them as the modules of
// deploy/terraform say.
//
// The token services are ours: those of the clouds cannot run here. They check the signature, the issuer, the subject, the
// audience and the times of a token with the trust that the modules plan, and answer as the clouds document it. The stores
// behind them are real programs. Names are the clouds' own: a proxy leads them to this machine.
package token
