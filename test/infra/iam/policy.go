package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Policy is a policy of a role, a bucket or a role's trust.
type Policy struct {
	Version   string
	Statement []Statement
}

// Statement is one statement of a policy.
type Statement struct {
	Sid, Effect      string
	Principal        Principals
	Action, Resource Texts
	Condition        map[string]map[string]Texts // by operator and key
}

// Texts is a list that JSON may have as one string.
type Texts []string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Texts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = Texts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// Principals is who a statement is about. "*" is AWS: "*", which includes anonymous clients.
type Principals struct{ AWS, Service, Federated Texts }

// UnmarshalJSON implements [json.Unmarshaler].
func (p *Principals) UnmarshalJSON(b []byte) error {
	if string(b) == `"*"` {
		p.AWS = Texts{"*"}
		return nil
	}
	type plain Principals // without this method
	return strict(b, (*plain)(p))
}

// Parse reads a policy. What the model does not know is an error.
func Parse(text string) (*Policy, error) {
	var p Policy
	if err := strict([]byte(text), &p); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if p.Version != "2012-10-17" {
		return nil, fmt.Errorf("policy: version %q", p.Version)
	}
	for _, s := range p.Statement {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("statement %q: %w", s.Sid, err)
		}
	}
	return &p, nil
}

func strict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the policy")
	}
	return nil
}

func (s Statement) check() error {
	if s.Effect != "Allow" && s.Effect != "Deny" {
		return fmt.Errorf("effect %q", s.Effect)
	}
	if len(s.Action) == 0 {
		return errors.New("no action")
	}
	for _, list := range []Texts{s.Action, s.Resource, s.Principal.AWS, s.Principal.Service, s.Principal.Federated} {
		for _, text := range list {
			if text == "" || strings.Contains(text, "${") {
				return fmt.Errorf("%q is empty or has a variable", text)
			}
		}
	}
	for operator, tests := range s.Condition {
		if operators[operator] == nil {
			return fmt.Errorf("operator %s is not known here", operator)
		}
		for key, values := range tests {
			if !known(key) {
				return fmt.Errorf("condition key %s is not known here", key)
			}
			if len(values) == 0 {
				return fmt.Errorf("condition key %s has no values", key)
			}
		}
	}
	return nil
}
