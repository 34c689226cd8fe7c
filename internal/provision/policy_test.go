package provision

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/store/address"
)

func parsed(t *testing.T, text string) address.Bucket {
	t.Helper()
	at, err := address.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// The text of the policy is the same as in the Terraform module.
func TestPolicyOf(t *testing.T) {
	want, err := os.ReadFile("testdata/policy.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), PolicyOf(parsed(t, "s3://prod-use1?region=us-east-1"))); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]string{
		"s3://b?region=cn-north-1":        "arn:aws-cn:s3:::b/containers/images/*",
		"s3://b?region=us-gov-west-1":     "arn:aws-us-gov:s3:::b/inventory/*",
		"s3://b/deep/in?region=us-east-1": "arn:aws:s3:::b/deep/in/containers/images/*",
	} {
		if got := PolicyOf(parsed(t, text)); !strings.Contains(got, `"`+want+`"`) {
			t.Errorf("%s: no %s in %s", text, want, got)
		}
	}
}

// What a service or the Terraform module writes in another way is the same; what permits more is not.
func TestSame(t *testing.T) {
	at := parsed(t, "s3://b?region=us-east-1")
	for _, c := range []struct {
		sid, old, new string
		want          bool
	}{
		{sidRead, `"Principal":"*"`, `"Principal":{"AWS":"*"}`, true},
		{sidRead, `"Principal":"*"`, `"Principal":{"AWS":["*"]}`, true},
		{sidRead, `"Action":"s3:GetObject"`, `"Action":["s3:GetObject"]`, true},
		{sidTLS, `"aws:SecureTransport":"false"`, `"aws:SecureTransport":["false"]`, true},
		{sidTLS, `"aws:SecureTransport":"false"`, `"aws:SecureTransport":false`, true},
		{sidRead, `["arn:aws:s3:::b/containers/images/*","arn:aws:s3:::b/inventory/*"]`, `["arn:aws:s3:::b/inventory/*","arn:aws:s3:::b/containers/images/*"]`, true},
		{sidRead, `"arn:aws:s3:::b/inventory/*"`, `"arn:aws:s3:::b/*"`, false},
		{sidRead, `"Action":"s3:GetObject"`, `"Action":["s3:GetObject","s3:ListBucket"]`, false},
		{sidTLS, `"Effect":"Deny"`, `"Effect":"Allow"`, false},
		{sidTLS, `"aws:SecureTransport":"false"`, `"aws:SecureTransport":"true"`, false},
		{sidWrite, `"Principal":"*"`, `"Principal":{"AWS":"arn:aws:iam::1:root"}`, false},
		{sidWrite, `"s3:if-none-match":"true"`, `"s3:if-none-match":"false"`, false},
	} {
		is := statement(at, c.sid)
		other := strings.Replace(string(is), c.old, c.new, 1)
		if other == string(is) {
			t.Fatalf("%s has no %s", is, c.old)
		}
		if got := same(is, json.RawMessage(other)); got != c.want {
			t.Errorf("%s: same as ours: %v, want %v", other, got, c.want)
		}
	}
}

// Statements that are not ours stay, byte for byte, behind ours.
func TestWith(t *testing.T) {
	at := parsed(t, "s3://b?region=us-east-1")
	const theirs = `{"Sid": "Theirs",  "Effect":"Deny","Principal":"*","Action":["s3:GetObject"],"Resource":"arn:aws:s3:::b/x/*"}`
	doc, err := parsePolicy(`{"Version":"2008-10-17","Id":"p","Statement":[` + theirs + `,{"Sid":"OnlyOverTLS","Effect":"Allow"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	got := doc.with(at, sids)
	if len(got.Statement) != 4 || sidOf(got.Statement[0]) != sidRead || string(got.Statement[3]) != theirs || got.Version != "2008-10-17" || got.ID != "p" {
		t.Errorf("%s", got.text())
	}
	if some := doc.with(at, []string{sidRead}); len(some.Statement) != 3 || sidOf(some.Statement[1]) != sidTLS {
		t.Errorf("%s", some.text())
	}
	if diff := cmp.Diff([]string{`Theirs: Deny s3:GetObject to "*"`}, doc.others()); diff != "" {
		t.Error(diff)
	}
	one, err := parsePolicy(`{"Version":"2012-10-17","Statement":` + theirs + `}`)
	if err != nil || len(one.Statement) != 1 {
		t.Errorf("a statement without a list: %v, %v", one, err)
	}
	if _, err := parsePolicy(`{"Statement":[`); err == nil {
		t.Error("a broken policy is no error")
	}
}

// The roles that the Terraform module exempts stay exempt.
func TestSplit(t *testing.T) {
	at := parsed(t, "s3://b?region=us-east-1")
	module := strings.Replace(string(statement(at, sidWrite)), `"Condition":{`, `"Condition":{"ArnNotEquals":{"aws:PrincipalArn":["arn:aws:iam::1:role/repair"]},`, 1)
	is, except := split(json.RawMessage(module))
	if !same(is, statement(at, sidWrite)) || len(except) != 1 || except[0] != "arn:aws:iam::1:role/repair" {
		t.Errorf("%s, %v", is, except)
	}
	if _, except := split(statement(at, sidWrite)); except != nil {
		t.Errorf("%v", except)
	}
}

// To put back one statement does not take away what an operator or the Terraform module has exempted in another one.
func TestWithKeepsExemption(t *testing.T) {
	at := parsed(t, "s3://b?region=us-east-1")
	module := strings.Replace(string(statement(at, sidWrite)), `"Condition":{`, `"Condition":{"ArnNotEquals":{"aws:PrincipalArn":["arn:aws:iam::1:role/repair"]},`, 1)
	doc, err := parsePolicy(`{"Version":"2012-10-17","Statement":[` + module + `]}`)
	if err != nil {
		t.Fatal(err)
	}
	got := doc.with(at, sids)
	if len(got.Statement) != 3 || string(got.find(sidWrite)) != module {
		t.Errorf("%s", got.text())
	}
	doc, err = parsePolicy(strings.Replace(doc.text(), `"Deny"`, `"Allow"`, 1))
	if err != nil {
		t.Fatal(err)
	}
	if got := doc.with(at, sids); !same(got.find(sidWrite), statement(at, sidWrite)) {
		t.Errorf("a statement that is not as wanted stays: %s", got.text())
	}
}

// An exemption that empties a statement is none.
func TestExemptionOfAll(t *testing.T) {
	at := parsed(t, "s3://b?region=us-east-1")
	for _, c := range []struct {
		sid, who string
		want     bool
	}{
		{sidWrite, "arn:aws:iam::1:role/repair", true},
		{sidWrite, "*", false},
		{sidWrite, "arn:aws:iam::1:role/*", false},
		{sidWrite, "arn:aws:iam::1:role/repai?", false},
		{sidTLS, "arn:aws:iam::1:role/repair", false},
	} {
		text := strings.Replace(string(statement(at, c.sid)), `"Condition":{`, `"Condition":{"ArnNotEquals":{"aws:PrincipalArn":"`+c.who+`"},`, 1)
		if got := asWanted(at, json.RawMessage(text)); got != c.want {
			t.Errorf("%s without %s: as wanted: %v, want %v", c.sid, c.who, got, c.want)
		}
	}
}

// What everybody may do beyond reading is seen, however it is written.
func TestOpen(t *testing.T) {
	at := parsed(t, "s3://b?region=us-east-1")
	for text, want := range map[string]bool{
		string(statement(at, sidRead)): false,
		`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/other/*"}`:                               false,
		`{"Effect":"Deny","Principal":"*","Action":"s3:*"}`:                                                                            false,
		`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"s3:*"}`:                                                 false,
		`{"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject"}`:                                false,
		`{"Effect":"Allow","Principal":"*","Action":"s3:PutObject"}`:                                                                   true,
		`{"Sid":"OnlyOverTLS","Effect":"Allow","Principal":"*","Action":"s3:PutObject"}`:                                               true,
		`{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::1:root","*"]},"Action":["s3:GetObject","s3:ListBucket"]}`:                 true,
		`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"S3:Put*"}`:                                                                true,
		`{"Effect":"Allow","Principal":"*","Action":"*"}`:                                                                              true,
		`{"Effect":"Allow","Principal":"*","NotAction":"s3:DeleteObject"}`:                                                             true,
		`{"Effect":"Allow","NotPrincipal":{"AWS":"arn:aws:iam::1:root"},"Action":"s3:PutObject"}`:                                      true,
		`{"Effect":"Allow","Principal":"*","Action":"s3:GetObjectVersion"}`:                                                            true,
		`{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}}`:          false,
		`{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Condition":{"IpAddress":{"aws:SourceIp":["192.0.2.0/24"]}}}`:       false,
		`{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}}`:            true,
		`{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`:      true,
		`{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Condition":{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}}}`: true,
		`{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Condition":{"StringLike":{"aws:PrincipalArn":"*"}}}`:               true,
		`{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`:               true,
	} {
		doc, err := parsePolicy(`{"Version":"2012-10-17","Statement":[` + text + `]}`)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(doc.open()) > 0; got != want {
			t.Errorf("%s: open to strangers: %v, want %v", text, got, want)
		}
	}
}
