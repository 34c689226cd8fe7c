package infra

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Variables are the input variables of the root modules in deploy/terraform/examples, as `infra export` writes them.
// The groups are by account: one module call makes the stores of one account. Only add fields; never remove one.
type Variables struct {
	AWS   Accounts `json:"aws_stores"`   // by "partition/account"; by "partition" where the config names no owner
	GCP   Accounts `json:"gcp_stores"`   // by the number of the project, or "default"
	Azure Accounts `json:"azure_stores"` // by storage account
	R2    Accounts `json:"r2_stores"`    // by the account of Cloudflare, or "default"
	Front Front    `json:"front"`
}

// Accounts are stores by account, then by their name in the config.
type Accounts map[string]map[string]Store

// Store is what a module needs to know to make the bucket of one store.
type Store struct {
	Bucket    string   `json:"bucket"`              // on Azure the storage account
	Container string   `json:"container,omitempty"` // on Azure
	Region    string   `json:"region"`              // as the cloud spells it; "auto" on R2
	Place     string   `json:"place"`               // "" for a CDN without a place
	Host      string   `json:"host"`                // that clients are sent to
	CDN       bool     `json:"cdn"`                 // clients are sent to a CDN, not to the bucket
	State     string   `json:"state"`
	Inventory bool     `json:"inventory"` // an inventory is published
	Serves    []string `json:"serves"`
}

// Front is what the load balancers in front of the servers, and the platform that runs them, need to know.
type Front struct {
	Names        []Name `json:"names"`  // in the order of the config
	Behind       string `json:"behind"` // the preset of client.behind
	Ready        string `json:"ready"`  // the path of the readiness check
	Port         int    `json:"port"`
	AdminPort    int    `json:"admin_port"` // 0: there is no such port
	DrainSeconds int    `json:"drain_seconds"`
	IdleSeconds  int    `json:"idle_seconds"`
}

// Name is a host that clients know the registry by.
type Name struct {
	Host string `json:"host"`
	Role string `json:"role"` // primary, legacy, sandbox, direct
}

// Encode returns the text of the file. The same variables always give the same text.
func (v *Variables) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// MaxBytes is the largest file of variables or outputs that is read. 255 stores have some 100 kB.
const MaxBytes = 8 << 20

// ParseVariables reads a file that Encode has written. It refuses keys that it does not know: a newer release may have
// put a store there.
func ParseVariables(text []byte) (*Variables, error) {
	var v Variables
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return &v, nil
}

// Where is a bucket, and the variable that has it.
type Where struct {
	Variable, Account, Store string
	Bucket                   string // "account/container" on Azure
	Region                   string
}

// Buckets lists all buckets, sorted by variable, account and store.
func (v *Variables) Buckets() []Where {
	var out []Where
	for _, g := range v.groups() {
		for _, account := range slices.Sorted(maps.Keys(g.accounts)) {
			for _, name := range slices.Sorted(maps.Keys(g.accounts[account])) {
				s := g.accounts[account][name]
				bucket := s.Bucket
				if s.Container != "" {
					bucket += "/" + s.Container
				}
				out = append(out, Where{g.variable, account, name, bucket, s.Region})
			}
		}
	}
	return out
}

type group struct {
	variable string
	accounts Accounts
}

func (v *Variables) groups() []group {
	return []group{{"aws_stores", v.AWS}, {"gcp_stores", v.GCP}, {"azure_stores", v.Azure}, {"r2_stores", v.R2}}
}

// Lost lists the buckets of was that v does not have: an apply of v destroys them, or fails because they are not
// empty. A bucket that is in another account, under the name of another store, or in another region counts as lost.
func (v *Variables) Lost(was *Variables) []Where {
	is := v.Buckets()
	return slices.DeleteFunc(was.Buckets(), func(w Where) bool { return slices.Contains(is, w) })
}
