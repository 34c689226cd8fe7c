package iam

import (
	"strings"
	"testing"
)

func policy(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestUnknown: what the model does not know is an error, and never a decision.
func TestUnknown(t *testing.T) {
	for name, text := range map[string]string{
		"field":     `{"Effect":"Allow","Principal":"*","NotAction":"s3:GetObject","Action":"s3:*","Resource":"*"}`,
		"effect":    `{"Effect":"allow","Action":"s3:*","Resource":"*"}`,
		"no action": `{"Effect":"Allow","Resource":"*"}`,
		"variable":  `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}/*"}`,
		"operator":  `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"IpAddress":{"aws:SecureTransport":"true"}}}`,
		"key":       `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"Bool":{"aws:ViaAWSService":"true"}}}`,
		"principal": `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Principal":{"CanonicalUser":"x"}}`,
		"no values": `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":[]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(`{"Version":"2012-10-17","Statement":[` + text + `]}`); err == nil {
				t.Errorf("%s was accepted", text)
			}
		})
	}
	if _, _, err := (Rights{}).Decide(Request{Keys: map[string]string{"aws:viaawsservice": "true"}}); err == nil {
		t.Error("a request with an unknown key was decided")
	}
}

// TestDecide has the rules of IAM, one by one.
func TestDecide(t *testing.T) {
	const object = "arn:aws:s3:::b/k"
	bucket := func(statements ...string) *Policy {
		return policy(t, `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`)
	}
	anybody := `{"Sid":"anybody","Effect":"Allow","Principal":"*","Action":"s3:Get*","Resource":"arn:aws:s3:::b/?"}`
	never := `{"Sid":"never","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"ArnNotEquals":{"aws:PrincipalArn":["arn:aws:iam::1:role/r"]}}}`
	secure := `{"Sid":"secure","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*","Condition":{"Bool":{"AWS:SecureTransport":"true"}}}`
	both := `{"Sid":"both","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"},"Null":{"s3:if-none-match":"false"}}}`
	service := `{"Sid":"service","Effect":"Allow","Principal":{"Service":"cloudfront.amazonaws.com"},"Action":"s3:GetObject","Resource":"*"}`
	role := bucket(`{"Sid":"role","Effect":"Allow","Action":["s3:PutObject"],"Resource":"*"}`)
	get := Request{Action: "s3:GetObject", Resource: object}
	with := func(q Request, pairs ...string) Request {
		q.Keys = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			q.Keys[pairs[i]] = pairs[i+1]
		}
		return q
	}
	for name, c := range map[string]struct {
		rights Rights
		q      Request
		sid    string // "": nothing allows or denies it
		want   bool
	}{
		"nothing allows":            {Rights{}, get, "", false},
		"anybody":                   {Rights{Resource: bucket(anybody)}, get, "anybody", true},
		"a service is somebody":     {Rights{Resource: bucket(anybody)}, Request{Caller: Caller{Service: "x.amazonaws.com"}, Action: "s3:GetObject", Resource: object}, "anybody", true},
		"? is one character":        {Rights{Resource: bucket(anybody)}, Request{Action: "s3:GetObject", Resource: object + "k"}, "", false},
		"another action":            {Rights{Resource: bucket(anybody)}, Request{Action: "s3:ListBucket", Resource: object}, "", false},
		"actions have no case":      {Rights{Resource: bucket(anybody)}, Request{Action: "S3:getobject", Resource: object}, "anybody", true},
		"a denial wins":             {Rights{Resource: bucket(anybody, never)}, get, "never", false},
		"a denial of the other one": {Rights{Caller: role, Resource: bucket(never)}, Request{Action: "s3:PutObject", Resource: object}, "never", false},
		"not equal, and exempt":     {Rights{Resource: bucket(anybody, never)}, with(get, "aws:principalarn", "arn:aws:iam::1:role/r"), "anybody", true},
		"not equal, and another":    {Rights{Resource: bucket(anybody, never)}, with(get, "aws:principalarn", "arn:aws:iam::1:role/s"), "never", false},
		"the role allows":           {Rights{Caller: role, Resource: bucket(anybody)}, Request{Action: "s3:PutObject", Resource: object}, "role", true},
		"a missing key":             {Rights{Resource: bucket(secure)}, get, "", false},
		"a key with another value":  {Rights{Resource: bucket(secure)}, with(get, "aws:securetransport", "false"), "", false},
		"a key without case":        {Rights{Resource: bucket(secure)}, with(get, "aws:securetransport", "true"), "secure", true},
		"one of two conditions":     {Rights{Resource: bucket(both)}, with(get, "aws:securetransport", "true"), "", false},
		"both conditions":           {Rights{Resource: bucket(both)}, with(get, "aws:securetransport", "true", "s3:if-none-match", "*"), "both", true},
		"another service":           {Rights{Resource: bucket(service)}, Request{Caller: Caller{Service: "s3.amazonaws.com"}, Action: "s3:GetObject", Resource: object}, "", false},
		"anonymous is no service":   {Rights{Resource: bucket(service)}, get, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, sid, err := c.rights.Decide(c.q)
			if err != nil || got != c.want || sid != c.sid {
				t.Errorf("%v by %q, %v; want %v by %q", got, sid, err, c.want, c.sid)
			}
		})
	}
}
