package endpoints

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// Addresses returns the hosts of a list for a firewall, each once, sorted: with the port unless it is 443, and with the
// star of wildcards.
func (l *List) Addresses() []string {
	var out []string
	for i := range l.Endpoints {
		out = append(out, l.Endpoints[i].Address())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Squid returns the hosts of a list in the form of Squid's `dstdomain`, sorted. There, `.example.org` stands for all
// names below a domain, so it covers more than one label. Squid refuses a list in which one line covers another. It has
// no ports: see [List.OtherPorts].
func (l *List) Squid() []string {
	domains := map[string]bool{}
	for _, e := range l.Endpoints {
		domains[strings.TrimPrefix(e.Host, "*")] = true
	}
	var out []string
	for domain := range domains {
		covered := domains["."+domain]
		for _, rest, more := strings.Cut(strings.TrimPrefix(domain, "."), "."); more; _, rest, more = strings.Cut(rest, ".") {
			covered = covered || domains["."+rest]
		}
		if !covered {
			out = append(out, domain)
		}
	}
	slices.Sort(out)
	return out
}

// OtherPorts returns the ports of a list besides 443, sorted. For a tool whose list of hosts has no ports, they must be
// allowed elsewhere.
func (l *List) OtherPorts() []uint16 {
	var out []uint16
	for i := range l.Endpoints {
		if port := l.Endpoints[i].Port; port != 443 {
			out = append(out, port)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ErrNoBuckets is returned by [List.Policy] for a list without buckets of Amazon S3.
var ErrNoBuckets = errors.New("the list has no bucket of Amazon S3 that clients read directly")

// Policy returns a policy for a VPC endpoint of Amazon S3, as JSON, that lets anyone in the VPC read the registry's
// blobs and nothing else.
func (l *List) Policy() ([]byte, error) {
	var resources []string
	for _, e := range l.Endpoints {
		if e.Bucket != "" {
			resources = append(resources, e.Bucket+"/"+e.Objects+"*")
		}
	}
	if len(resources) == 0 {
		return nil, ErrNoBuckets
	}
	slices.Sort(resources)
	type statement struct {
		Sid, Effect, Principal, Action string
		Resource                       []string
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	err := enc.Encode(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{{"ReadRegistryBlobs", "Allow", "*", "s3:GetObject", slices.Compact(resources)}}})
	return b.Bytes(), err
}
