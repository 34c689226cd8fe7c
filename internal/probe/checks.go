package probe

import (
	"strings"

	"ociproxy/internal/check/judge"
)

// Check is one question that the probe asks. IDs are stable: scripts and alerts use them.
type Check struct {
	ID    string `json:"id"`
	Title string `json:"title"` // what is true when it passes
	// Severity is the result when the check fails. Some answers get less: the finding says so.
	Severity judge.Result `json:"severity"`
	// Paths says that the check proves a path. The others prove a decision, or need no client.
	Paths bool `json:"paths,omitempty"`
}

// Doc returns the place in the documentation that explains the check.
func (c Check) Doc() string { return "docs/proving-a-deployment.md#" + Anchor(c.ID) }

// Anchor returns the anchor of a check's heading in the documentation.
func Anchor(id string) string { return strings.ReplaceAll(id, ".", "") }

// These are the ids that the code names more than once.
const (
	idPing     = "ping"
	idIdentity = "identity"
	idBudget   = "budget"
	idRedirect = "redirect"
	idLayer    = "layer"
	idCoherent = "coherence"
	idTags     = "tags"
)

// Checks returns all checks, in the order in which a report lists them.
func Checks() []Check {
	return []Check{
		{"identity", "the server takes the probe for a client of the class", judge.Failed, false},
		{"ping", "/v2/ answers 200 without a login", judge.Failed, false},
		{"ipv4", "the host answers over IPv4", judge.Failed, false},
		{"ipv6", "the host answers over IPv6", judge.Failed, false},
		{"tls", "the certificate is for the host and from an authority that clients trust", judge.Failed, false},
		{"tls.expiry", "the certificate lasts for 14 more days", judge.Warning, false},
		{"http1", "the host speaks HTTP/1.1", judge.Failed, false},
		{"h2", "the host speaks HTTP/2", judge.Warning, false},
		{"clock", "the host's clock differs by less than a minute", judge.Warning, false},
		{"tag", "the tag leads to a manifest", judge.Failed, false},
		{"tag.same", "the tag leads to the same digest for all clients", judge.Warning, false},
		{"manifest", "the manifest has the digest that names it", judge.Failed, false},
		{"head", "HEAD says what GET gives", judge.Failed, false},
		{idRedirect, "a blob's redirect leads to one HTTPS host that answers itself", judge.Failed, false},
		{"endpoint", "the redirect's host is on the published list", judge.Failed, false},
		{"decision", "the client is sent where the config says", judge.Warning, false},
		{idLayer, "every byte of the config and the layers arrives", judge.Failed, true},
		{"blob", "a small range of the blob arrives", judge.Failed, false},
		{"range.first", "the first byte can be asked for", judge.Failed, false},
		{"range.middle", "a range in the middle can be asked for", judge.Failed, false},
		{"range.open", "the rest of a blob can be asked for", judge.Failed, false},
		{"range.suffix", "the last bytes can be asked for", judge.Warning, false},
		{"range.past-end", "a range past the end gets 416", judge.Warning, false},
		{"range.parallel", "ranges arrive side by side", judge.Failed, false},
		{"resume", "a pull resumes after a cut", judge.Failed, true},
		{"cache-control", "the registry's answers are not cached, blobs are", judge.Warning, false},
		{idCoherent, "every digest that the tag leads to can be fetched", judge.Failed, false},
		{"signature", "the image's signatures and referrers can be fetched", judge.Failed, false},
		{idTags, "the list of tags can be read to its end", judge.Failed, false},
		{"unknown.digest", "an unknown digest gets 404", judge.Failed, false},
		{"unknown.tag", "an unknown tag gets 404 and an error of the specification", judge.Failed, false},
		{"unknown.repository", "an unknown repository gets 404 and an error of the specification", judge.Failed, false},
		{"method", "POST is refused", judge.Failed, false},
		{"catalog", "the catalog is refused", judge.Warning, false},
		{"path", "paths outside the specification are refused", judge.Failed, false},
		{"address", "the server sees the machine of the probe at its own address", judge.Failed, false},
		{"near", "twenty machines of one network stay at one host", judge.Failed, false},
		{"speed", "the first byte comes within a second", judge.Warning, true},
		{idBudget, "the run stayed within its bounds", judge.Warning, false},
	}
}

func checkOf(id string) Check {
	for _, c := range Checks() {
		if c.ID == id {
			return c
		}
	}
	panic("probe: no check " + id)
}
