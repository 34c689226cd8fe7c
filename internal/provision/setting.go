package provision

import "slices"

// Setting is one setting that the bucket of a store needs.
type Setting struct {
	Name string `json:"name"` // stable: "versioning", "policy/OnlyOverTLS"
	Want string `json:"want"` // in words
	Why  string `json:"why"`
}

// State says how a setting of a bucket compares with what is wanted.
type State string

// These are the states of a setting.
const (
	// Good: it is as wanted, or stricter in a way that does no harm.
	Good State = "good"
	// Missing: it is not as wanted, and Apply changes it.
	Missing State = "missing"
	// Changed: Apply has changed it, and has read the new value back.
	Changed State = "changed"
	// Unsupported: this service does not have the setting, or took it and did not keep it.
	Unsupported State = "unsupported"
	// Blocked: something else forbids it. Apply leaves it alone; Remedy says who can change what.
	Blocked State = "blocked"
	// ByHand: it cannot be seen or changed with the rights over the bucket; Remedy has the command.
	ByHand State = "byHand"
	// Unknown: these credentials may not read it.
	Unknown State = "unknown"
	// Failed: Apply could not change it.
	Failed State = "failed"
)

// Finding is what was found out about one setting.
type Finding struct {
	Setting
	State State  `json:"state"`
	Have  string `json:"have"` // in words; "" before the bucket exists
	// Unsure is set for a missing setting if the service is not the cloud's own and only a try shows whether it has the
	// setting.
	Unsure bool `json:"unsure,omitempty"`
	// Kept is what an operator has added to this setting. It stays.
	Kept []string `json:"kept,omitempty"`
	// Weaker says what the wanted value permits that the present one forbids; "" if there is no such thing.
	Weaker string `json:"weaker,omitempty"`
	Detail string `json:"detail,omitempty"` // the reason for the state, in the service's words
	Remedy string `json:"remedy,omitempty"` // what a person can do about it
}

// Report is what was found out about a bucket.
type Report struct {
	Store    string    `json:"store"`
	Bucket   string    `json:"bucket"` // as the config names it, without parameters
	Kind     string    `json:"kind"`   // s3, gcs or azure
	Exists   bool      `json:"exists"` // when the report was begun
	Findings []Finding `json:"findings"`
}

// Count returns how many settings are in one of the given states.
func (r *Report) Count(states ...State) (n int) {
	for _, f := range r.Findings {
		if slices.Contains(states, f.State) {
			n++
		}
	}
	return n
}

// Drift returns the settings that are not as wanted and could be. Settings of which it is not sure that the service has
// them do not count.
func (r *Report) Drift() (out []Finding) {
	for _, f := range r.Findings {
		if slices.Contains([]State{Missing, Blocked, Failed}, f.State) && !f.Unsure {
			out = append(out, f)
		}
	}
	return out
}
