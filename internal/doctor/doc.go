// Package doctor finds out, on the machine of somebody who pulls images, why pulls from a registry fail: names,
// addresses, firewalls, proxies, certificates, and what comes instead of a layer. It says in one sentence what to do.
//
// It knows HTTP, TLS, DNS and the distribution specification. It must not know the config of a server, credentials, or
// where its report is printed. It sends no credentials, except those in the URL of the environment's proxy, to that
// proxy.
package doctor
