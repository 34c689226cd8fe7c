package iam

import (
	"fmt"
	"strings"
)

// Caller is who makes a request. The zero value is an anonymous client.
type Caller struct {
	Role      string // ARN of the role whose session it is
	Service   string // the service that calls for itself
	Federated string // the issuer of the token that a caller without a session has
}

// Request is one request to AWS.
type Request struct {
	Caller   Caller
	Action   string
	Resource string            // ARN; "" in a request for a role, whose trust names no resource
	Keys     map[string]string // of conditions, in lower case
}

// Rights are the policies that apply to a request.
type Rights struct {
	Caller   *Policy // of the role that calls; nil: none
	Resource *Policy // of the bucket, or the trust of the role; nil: none
}

// Decide reports whether the request is allowed, and by which statement, or which one denies it; "" if none allows it.
func (r Rights) Decide(q Request) (allowed bool, sid string, err error) {
	for key := range q.Keys {
		if !known(key) || key != strings.ToLower(key) {
			return false, "", fmt.Errorf("request with key %q, which is not known here", key)
		}
	}
	for _, p := range []struct {
		policy     *Policy
		ofResource bool
	}{{r.Caller, false}, {r.Resource, true}} {
		if p.policy == nil {
			continue
		}
		for _, s := range p.policy.Statement {
			if !s.about(q, p.ofResource) {
				continue
			}
			if s.Effect == "Deny" {
				return false, s.Sid, nil
			}
			if sid == "" {
				allowed, sid = true, s.Sid
			}
		}
	}
	return allowed, sid, nil
}

// about reports whether a statement applies to a request. A policy of a role names no principal.
func (s Statement) about(q Request, ofResource bool) bool {
	action := false
	for _, a := range s.Action {
		action = action || like(strings.ToLower(a), strings.ToLower(q.Action))
	}
	return action && (q.Resource == "" || anyLike(s.Resource, q.Resource)) && s.holds(q.Keys) && (!ofResource || s.Principal.has(q.Caller))
}

func (p Principals) has(c Caller) bool {
	switch {
	case c.Service != "":
		return anyIs(p.Service, c.Service) || anyIs(p.AWS, "*")
	case c.Federated != "":
		return anyIs(p.Federated, c.Federated)
	}
	return anyIs(p.AWS, "*") || c.Role != "" && anyIs(p.AWS, c.Role)
}

func anyIs(list Texts, text string) bool {
	for _, t := range list {
		if t == text {
			return true
		}
	}
	return false
}

// Token is what a token says that is exchanged for a session.
type Token struct {
	Issuer            string // https://…
	Subject, Audience string
	AuthorizedParty   string // azp; Google's tokens have it
}

const google = "accounts.google.com"

// Assume returns the request that exchanges a token for a session in an account.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html
func (t Token) Assume(partition, account string) Request {
	host := strings.TrimPrefix(t.Issuer, "https://")
	q := Request{Action: "sts:AssumeRoleWithWebIdentity", Keys: map[string]string{}}
	set := func(claim, value string) {
		if value != "" {
			q.Keys[strings.ToLower(host+":"+claim)] = value
		}
	}
	set("sub", t.Subject)
	if host != google {
		q.Caller.Federated = "arn:" + partition + ":iam::" + account + ":oidc-provider/" + host
		set("aud", t.Audience)
		return q
	}
	q.Caller.Federated = google
	set("oaud", t.Audience)
	if t.AuthorizedParty == "" {
		set("aud", t.Audience)
	} else {
		set("aud", t.AuthorizedParty)
	}
	return q
}
