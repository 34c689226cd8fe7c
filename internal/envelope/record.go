package envelope

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"ociproxy/internal/strictjson"
)

// Kind is what a record is about.
type Kind string

// These are the kinds of records.
const (
	// Admission says whether a store may serve clients.
	Admission Kind = "admission"
)

// Kinds lists the kinds of records that this release knows.
func Kinds() []Kind { return []Kind{Admission} }

// Verdict is the answer that a record gives.
type Verdict string

// These are the verdicts.
const (
	Pass Verdict = "pass"
	Fail Verdict = "fail"
)

// RecordVersion is the version of the format of records that this release reads and writes. A change that old readers
// would misunderstand needs a new one.
const RecordVersion = 1

// Record is one signed statement of a tool about a subject. All kinds of records share this form.
type Record struct {
	Kind    Kind      `json:"kind"`
	Version int       `json:"version"` // RecordVersion
	Made    time.Time `json:"made"`    // when the verdict was reached, UTC
	By      Tool      `json:"by"`      // who made it
	Subject Subject   `json:"subject"` // what it is about
	Verdict Verdict   `json:"verdict"`
	// Findings are what the verdict rests on, in the order in which they were found.
	Findings []Finding `json:"findings"`
	// Details are what this kind of record has beside, as its tool wrote it: figures, limits, hints.
	Details json.RawMessage `json:"details,omitempty"`
}

// Tool is a program that makes records.
type Tool struct {
	Name    string `json:"name"`    // "oci-proxyctl"
	Version string `json:"version"` // of the program
}

// Subject is what a record is about. Each kind of record fills the fields that it needs.
type Subject struct {
	Store string `json:"store,omitempty"` // its name in the config
	URL   string `json:"url,omitempty"`   // of the store, with {digest}
	// Stanza is the hash of what the config said about the store, see config.Store.Hash. A record about another stanza
	// says nothing about the store of today.
	Stanza string `json:"stanza,omitempty"`
}

// Finding is one thing that was checked.
type Finding struct {
	Check  string `json:"check"`            // its id
	Result string `json:"result"`           // a word such as "ok" or "fault"
	Detail string `json:"detail,omitempty"` // a sentence for people
}

// Type returns the payload type of a record of this kind.
func (k Kind) Type() string {
	return fmt.Sprintf("application/vnd.oci-proxy.%s.v%d+json", k, RecordVersion)
}

// Type returns the payload type of r.
func (r *Record) Type() string { return r.Kind.Type() }

// Encode returns r as indented JSON with a final newline: a record without an envelope, and the payload of one with
// it.
func (r *Record) Encode() ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("write record: %w", err)
	}
	is := *r
	if is.Findings == nil {
		is.Findings = []Finding{}
	}
	text, err := json.MarshalIndent(is, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write record: %w", err)
	}
	return append(text, '\n'), nil
}

// Sign returns r in an envelope.
func (r *Record) Sign(private ed25519.PrivateKey) ([]byte, error) {
	payload, err := r.Encode()
	if err != nil {
		return nil, err
	}
	return Sign(private, r.Type(), payload)
}

// OpenRecord returns the record of an envelope of this kind that [Open] accepts, and the id of the key.
func OpenRecord(data []byte, kind Kind, trusted ...ed25519.PublicKey) (*Record, string, error) {
	payload, id, err := Open(data, kind.Type(), trusted...)
	if err != nil {
		return nil, "", err
	}
	r, err := ParseRecord(payload)
	if err == nil && r.Kind != kind {
		err = fmt.Errorf("%w: its kind is %q, want %q", ErrType, r.Kind, kind)
	}
	if err != nil {
		return nil, "", err
	}
	return r, id, nil
}

// ParseRecord reads what [Record.Encode] writes. It refuses a record of a version or kind that this release does not
// know, and keys without a meaning.
func ParseRecord(payload []byte) (*Record, error) {
	r := new(Record)
	if err := strictjson.UnmarshalClosed(payload, r, strictjson.Bounds{Bytes: MaxBytes, Depth: 8}); err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	return r, nil
}

func (r *Record) validate() error {
	switch {
	case !slices.Contains(Kinds(), r.Kind):
		return fmt.Errorf("unknown kind %.40q", r.Kind)
	case r.Version != RecordVersion:
		return fmt.Errorf("version %d of its format; this release reads version %d", r.Version, RecordVersion)
	case r.Made.IsZero():
		return errors.New("it does not say when it was made")
	case r.Verdict != Pass && r.Verdict != Fail:
		return fmt.Errorf("unknown verdict %.40q", r.Verdict)
	case r.Kind == Admission && (r.Subject.Store == "" || r.Subject.URL == "" || r.Subject.Stanza == ""):
		return errors.New("an admission needs the store, its url and the hash of its stanza")
	}
	return nil
}
