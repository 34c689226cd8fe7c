package doctor

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ociproxy/internal/check/judge"
)

// clouds are domains whose certificates are always of public authorities.
var clouds = []string{
	"amazonaws.com", "cloudfront.net", "googleapis.com", "pkg.dev", "gcr.io", "core.windows.net", "azurefd.net", "azurecr.io",
	"cloudflarestorage.com", "r2.dev", "fastly.net", "docker.io", "docker.com", "ghcr.io", "githubusercontent.com", "quay.io",
}

func inCloud(host string) bool {
	return slices.ContainsFunc(clouds, func(domain string) bool { return strings.HasSuffix(host, "."+domain) })
}

// certificates finds certificates that clients do not take, and those that only this machine takes.
func certificates(f *Facts) (all []Finding) {
	var public bool
	resigned := map[string][]*Host{} // by issuer: hosts with a private authority that is trusted here
	for _, h := range f.Hosts {
		for _, t := range h.ways() {
			public = public || t.works() && t.Public
			if t.works() && t.Issuer != "" && !t.Public {
				resigned[t.Issuer] = add(resigned[t.Issuer], h)
			}
		}
	}
	if hosts, t := f.with(untrusted); t != nil {
		intercepted := public || slices.ContainsFunc(hosts, func(h *Host) bool { return inCloud(h.Name) })
		if intercepted {
			all = append(all, one("tls-intercepted", Network, hosts,
				"Your network intercepts TLS to %s with certificates of \"%s\", which this machine does not trust: exempt %s from the inspection, or make machines and runtimes trust that authority.",
				names(hosts), t.Issuer, itOrThem(hosts))...)
		} else {
			all = append(all, one("tls-untrusted", Network, hosts,
				"The certificate of %s is of \"%s\", which this machine does not trust: if your network inspects TLS, exempt %s or trust that authority, otherwise tell the operator of %s.",
				names(hosts), t.Issuer, itOrThem(hosts), f.Target.Registry)...)
		}
	}
	if hosts, t := f.with(wrongName); t != nil {
		all = append(all, one("tls-name", Network, hosts,
			"%s shows a certificate for %s: log in to this network if it has a portal, or correct what your resolver says of %s.",
			names(hosts), orNone(t.names), itOrThem(hosts))...)
	}
	if hosts, t := f.with(badTime); t != nil && theClock(f) == nil {
		what := "is not valid yet"
		if t.expired {
			what = "expired on " + day(t.Expires)
		}
		all = append(all, one("tls-expired", Owner, hosts, "The certificate of %s %s, which is not your network's fault: tell the operator of %s.",
			names(hosts), what, f.Target.Registry)...)
	}
	for _, h := range f.Hosts { // in the order of hosts
		for issuer, hosts := range resigned {
			if hosts[0] == h && (public || slices.ContainsFunc(hosts, func(h *Host) bool { return inCloud(h.Name) })) {
				all = append(all, one("tls-resigned", Nobody, hosts,
					"Pulls work here, but your network re-signs TLS to %s with \"%s\": every machine and runtime that pulls must trust that authority.",
					names(hosts), issuer)...)
			}
		}
	}
	return all
}

func orNone(names string) string {
	if names == "" {
		return "no name"
	}
	return names
}

// answers finds what is wrong with the first answer that ended the pull.
func answers(f *Facts) []Finding {
	for _, t := range f.Reads {
		h := f.host(t.Host)
		if t.Fault != noFault && h != nil && !h.explains(t.Fault) {
			return f.answer(h, t)
		}
	}
	return nil
}

// explains reports whether the ways to a host show why a request there failed.
func (h *Host) explains(failed Fault) bool {
	fault, _ := h.fault()
	family := h.broken(judge.IPv6) || h.broken(judge.IPv4)
	return fault != noFault || family && !slices.Contains(ofAnswers, failed)
}

// private reports whether something between here and a host can change what it sends.
func (h *Host) private() bool {
	if h.Plain {
		return true
	}
	for _, t := range h.ways() {
		if t.works() && !t.Public {
			return true
		}
	}
	return false
}

func (f *Facts) answer(h *Host, t *Try) []Finding {
	about, registry := []*Host{h}, f.Target.Registry
	owner := func(kind, format string, args ...any) []Finding {
		return one(kind, Owner, about, format+", which is not your network's fault: tell the operator of %s.", append(args, registry)...)
	}
	switch t.Fault {
	case webPage:
		return page(about)
	case wantsLogin:
		return owner("login", "%s asks for a login (401)", h.Address)
	case limited:
		return owner("rate-limit", "%s answers that there are too many requests (429)", h.Address)
	case broken:
		return owner("server-error", "%s answers %d %s", h.Address, t.Status, http.StatusText(t.Status))
	case badAnswer:
		return owner("answer", "%s does not answer as a registry (%s)", h.Address, t.Detail)
	case noImage:
		if t.Status == http.StatusNotFound {
			return one("no-image", User, about, "%s has no image %s: check its name and tag.", registry, f.Target.Image)
		}
		return owner("answer", "%s answers %d to the manifest of %s", h.Address, t.Status, f.Target.Image)
	case missing:
		return owner("missing", "%s answers %d to a layer that the image has", h.Address, t.Status)
	case denied:
		return f.denied(h, t)
	case changed:
		if h.private() {
			return one("changed", Network, about, "Something between here and %s changes the bytes of layers: exempt %s from the proxy or scanner that does it.", h.Address, h.Address)
		}
		return owner("damaged", "%s sends other bytes than the digest of the layer says", h.Address)
	case badRange:
		if h.private() {
			return one("ranges", Network, about, "Something between here and %s breaks requests for a part of a layer, so that interrupted pulls fail: exempt %s from the proxy or scanner that does it.", h.Address, h.Address)
		}
		return owner("ranges", "%s does not answer requests for a part of a layer", h.Address)
	case cutOff, stalled:
		return one("interrupted", Network, about, "The connection to %s breaks in the middle of an answer: exempt %s from limits on the size or time of downloads.", h.Address, h.Address)
	default:
		return one("unknown", Network, about, "A request to %s fails (%s): ask the people who run your network.", h.Address, t.Detail)
	}
}

// denied finds out what a store that refuses a layer needs.
func (f *Facts) denied(h *Host, t *Try) []Finding {
	about := []*Host{h}
	if !bytes.Contains(t.body, []byte("<Code>AccessDenied</Code>")) {
		return one("denied", Network, about, "%s refuses a layer (403): exempt it from the web filter if your network has one, otherwise tell the operator of %s.", h.Address, f.Target.Registry)
	}
	name, arn := bucketOf(h, t.url)
	return one("denied", Network, about,
		"The bucket %s at %s denies a layer that it should have (403 AccessDenied): allow s3:GetObject on %s/* in the policy of your VPC endpoint, and tell the operator of %s if you have none.",
		name, h.Address, arn, f.Target.Registry)
}

// bucketOf returns the name and ARN of the bucket of a URL: from the list, otherwise from the forms that URLs of S3 have.
func bucketOf(h *Host, target string) (name, arn string) {
	u, err := url.Parse(target)
	if err != nil {
		return h.Name, "arn:aws:s3:::" + h.Name
	}
	guess, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if before, _, found := strings.Cut(h.Name, ".s3."); found {
		guess = before
	}
	for _, l := range h.Buckets {
		if len(h.Buckets) == 1 || bucketName(&l) == guess {
			return bucketName(&l), l.Bucket
		}
	}
	return guess, fmt.Sprintf("arn:aws:s3:::%s", guess)
}
