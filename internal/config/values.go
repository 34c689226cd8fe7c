package config

import (
	"fmt"
	"strings"
)

// State is whether a candidate takes traffic.
type State string

// The states of a candidate.
const (
	Active   State = "active"   // takes traffic
	Filling  State = "filling"  // being filled, takes none yet
	Draining State = "draining" // about to go, takes no new traffic
	Off      State = "off"      // as if it were not there
)

// Values lists what may be written in the file.
func (State) Values() []string {
	return []string{string(Active), string(Filling), string(Draining), string(Off)}
}

// Role is how the requests for a name are served.
type Role string

// The roles of a name.
const (
	Primary Role = "primary" // as the configuration says
	Legacy  Role = "legacy"  // likewise: a name of old
	Sandbox Role = "sandbox" // likewise: a name to try things on
	Direct  Role = "direct"  // by the candidates that it lists
)

// Values lists what may be written in the file.
func (Role) Values() []string {
	return []string{string(Primary), string(Legacy), string(Sandbox), string(Direct)}
}

// Provider is the format of a feed.
type Provider string

// The feed providers.
const (
	AWS      Provider = "aws"
	GCP      Provider = "gcp"
	Azure    Provider = "azure"
	Oracle   Provider = "oracle"
	Exoscale Provider = "exoscale"
	Geofeed  Provider = "geofeed"
	Vultr    Provider = "vultr"
	CSV      Provider = "csv"
)

// Values lists what may be written in the file.
func (Provider) Values() []string {
	return []string{"aws", "gcp", "azure", "oracle", "exoscale", "geofeed", "vultr", "csv"}
}

// LogClient is how much of a client's address is logged.
type LogClient string

// What of the client's address is logged.
const (
	LogPrefix LogClient = "prefix"
	LogFull   LogClient = "full"
	LogNone   LogClient = "none"
)

// Values lists what may be written in the file.
func (LogClient) Values() []string { return []string{"prefix", "full", "none"} }

// LogLevel is a slog level's name in lower case.
type LogLevel string

// Values lists what may be written in the file.
func (LogLevel) Values() []string { return []string{"debug", "info", "warn", "error"} }

// LogFormat is the shape of a log line.
type LogFormat string

// Values lists what may be written in the file.
func (LogFormat) Values() []string { return []string{"json", "text"} }

// TLSVersion is the oldest TLS version accepted.
type TLSVersion string

// Values lists what may be written in the file.
func (TLSVersion) Values() []string { return []string{"1.2", "1.3"} }

// Serves is whom a candidate may serve.
type Serves struct {
	All      bool     // everybody
	Internet bool     // clients whose cloud no store names and no upstream lives in
	Clouds   []string // clients of these clouds, in the file's order
}

// Names returns the list as the file spells it.
func (s Serves) Names() []string {
	var names []string
	if s.All {
		names = append(names, "all")
	}
	if s.Internet {
		names = append(names, "internet")
	}
	return append(names, s.Clouds...)
}

// IsZero reports whether it serves nobody, which is to say that the key was left out.
func (s Serves) IsZero() bool { return !s.All && !s.Internet && len(s.Clouds) == 0 }

func (s Serves) String() string { return strings.Join(s.Names(), " ") }

// Families are the IP families a candidate can be reached by.
type Families struct{ IPv4, IPv6 bool }

// Names returns the list as the file spells it.
func (f Families) Names() []string {
	var names []string
	if f.IPv4 {
		names = append(names, "ipv4")
	}
	if f.IPv6 {
		names = append(names, "ipv6")
	}
	return names
}

// parseServes reads the names of a serves list. Whether a cloud exists is checked later, when places are known.
func parseServes(names []string) (Serves, error) {
	var s Serves
	seen := map[string]bool{}
	for _, n := range names {
		if seen[n] {
			return s, fmt.Errorf("%q is listed twice", n)
		}
		seen[n] = true
		switch n {
		case "all":
			s.All = true
		case "internet":
			s.Internet = true
		case "":
			return s, fmt.Errorf("empty name")
		default:
			s.Clouds = append(s.Clouds, n)
		}
	}
	if s.IsZero() {
		return s, fmt.Errorf("the list is empty: name clouds, `internet` or `all`")
	}
	if s.All && len(seen) > 1 {
		return s, fmt.Errorf("`all` includes all clients: list it alone")
	}
	return s, nil
}

func parseFamilies(names []string) (Families, error) {
	var f Families
	for _, n := range names {
		switch n {
		case "ipv4":
			f.IPv4 = true
		case "ipv6":
			f.IPv6 = true
		default:
			return f, fmt.Errorf("unknown IP family %q: ipv4 or ipv6", n)
		}
	}
	if !f.IPv4 && !f.IPv6 {
		return f, fmt.Errorf("the list is empty: ipv4, ipv6 or both")
	}
	return f, nil
}
