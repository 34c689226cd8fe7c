package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ociproxy/internal/store"
	"ociproxy/internal/store/address"
)

// These are the ids of our statements in a bucket policy of S3, in their order. The Terraform module
// deploy/terraform/aws-stores has the same ones; a test compares the texts.
const (
	sidRead  = "AnybodyReadsBlobsAndInventory"
	sidTLS   = "OnlyOverTLS"
	sidWrite = "BlobsAreNeverReplaced"
)

// sidCloudFront is the statement of the Terraform module in place of the first one, where only a CDN may read.
const sidCloudFront = "CloudFrontReadsBlobsAndInventory"

var sids = []string{sidRead, sidTLS, sidWrite}

// policyDocument is a bucket policy. Statements that are not ours stay as they are, byte for byte.
type policyDocument struct {
	ID        string            `json:"Id,omitempty"`
	Statement []json.RawMessage `json:"Statement"`
	Version   string            `json:"Version"`
}

// PolicyOf returns the bucket policy for a bucket of S3 that the operator has added nothing to. It has sorted keys and
// no spaces, as Terraform's jsonencode writes it.
func PolicyOf(at address.Bucket) string {
	doc := policyDocument{Version: "2012-10-17"}
	for _, sid := range sids {
		doc.Statement = append(doc.Statement, statement(at, sid))
	}
	return doc.text()
}

// statement returns our statement of a policy.
//
// For the third one see https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html: parts of
// an upload cannot have the condition, and are no operations that create an object. This is the statement of a bucket
// without roles that repair or replicate.
func statement(at address.Bucket, sid string) json.RawMessage {
	arn := at.ARN()
	blobs, inventory := arn+"/"+at.Prefix+store.BlobPrefix+"*", arn+"/"+at.Prefix+store.InventoryPrefix+"*"
	type object map[string]any // its keys are written in order
	is := map[string]object{
		sidRead: {"Effect": "Allow", "Action": "s3:GetObject", "Resource": []string{blobs, inventory}},
		sidTLS: {"Effect": "Deny", "Action": "s3:*", "Resource": []string{arn, arn + "/*"},
			"Condition": object{"Bool": object{"aws:SecureTransport": "false"}}},
		sidWrite: {"Effect": "Deny", "Action": "s3:PutObject", "Resource": blobs,
			"Condition": object{"Bool": object{"s3:ObjectCreationOperation": "true"}, "Null": object{"s3:if-none-match": "true"}}},
	}[sid]
	is["Sid"], is["Principal"] = sid, "*"
	return marshal(is)
}

// marshal writes a value that always can be written.
func marshal(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// parsePolicy reads a bucket policy; "" is an empty one.
func parsePolicy(text string) (*policyDocument, error) {
	doc := &policyDocument{Version: "2012-10-17"}
	if text == "" {
		return doc, nil
	}
	var raw struct {
		ID        string `json:"Id"`
		Version   string
		Statement json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, fmt.Errorf("read the bucket's policy: %w", err)
	}
	doc.ID, doc.Version = raw.ID, raw.Version
	if one := bytes.TrimSpace(raw.Statement); len(one) > 0 && one[0] == '{' { // one statement needs no list
		doc.Statement = []json.RawMessage{one}
		return doc, nil
	}
	if err := json.Unmarshal(raw.Statement, &doc.Statement); err != nil {
		return nil, fmt.Errorf("read the bucket's policy: %w", err)
	}
	return doc, nil
}

func (d *policyDocument) text() string { return string(marshal(d)) }

// find returns the statement with an id; nil if there is none.
func (d *policyDocument) find(sid string) json.RawMessage {
	for _, s := range d.Statement {
		if sidOf(s) == sid {
			return s
		}
	}
	return nil
}

// with returns the policy with our statements of these ids, in our order, and then all that are not ours. A statement
// that is as wanted stays as it is, with the principals that it exempts.
func (d *policyDocument) with(at address.Bucket, ids []string) *policyDocument {
	out := &policyDocument{ID: d.ID, Version: d.Version}
	for _, sid := range sids {
		there := d.find(sid)
		if there != nil && (!slices.Contains(ids, sid) || asWanted(at, there)) {
			out.Statement = append(out.Statement, there)
		} else if slices.Contains(ids, sid) {
			out.Statement = append(out.Statement, statement(at, sid))
		}
	}
	for _, s := range d.Statement {
		if !slices.Contains(sids, sidOf(s)) {
			out.Statement = append(out.Statement, s)
		}
	}
	return out
}

// asWanted reports whether a statement of a policy is ours, perhaps with principals that it exempts.
func asWanted(at address.Bucket, s json.RawMessage) bool {
	sid := sidOf(s)
	is, _ := split(s)
	return slices.Contains(sids, sid) && same(is, statement(at, sid))
}

// others describes the statements that are not ours.
func (d *policyDocument) others() (out []string) {
	for _, s := range d.Statement {
		if slices.Contains(sids, sidOf(s)) {
			continue
		}
		out = append(out, shown(s))
	}
	return out
}

// shown describes a statement.
func shown(s json.RawMessage) string {
	var is struct {
		Sid, Effect             string
		Principal, NotPrincipal any
		Action, NotAction       any
	}
	_ = json.Unmarshal(s, &is) // it was parsed with the document
	who, _ := json.Marshal(is.Principal)
	if is.NotPrincipal != nil {
		not, _ := json.Marshal(is.NotPrincipal)
		who = append([]byte("all but "), not...)
	}
	what := strings.Join(words(is.Action), " ")
	if is.NotAction != nil {
		what = "all but " + strings.Join(words(is.NotAction), " ")
	}
	text := fmt.Sprintf("%s %s to %s", is.Effect, what, who)
	if is.Sid != "" {
		text = is.Sid + ": " + text
	}
	return text
}

// open describes the statements that let everybody do more than read an object by its key.
func (d *policyDocument) open() (out []string) {
	for _, s := range d.Statement {
		var is map[string]any
		if json.Unmarshal(s, &is) != nil || is["Effect"] != "Allow" || limited(is["Condition"]) {
			continue
		}
		who := is["Principal"]
		if byKind := members(who); byKind != nil {
			who = byKind["AWS"]
		}
		reads := is["NotAction"] == nil && !slices.ContainsFunc(words(is["Action"]), func(a string) bool { return !strings.EqualFold(a, "s3:GetObject") })
		if !reads && (is["NotPrincipal"] != nil || slices.Contains(words(who), "*")) {
			out = append(out, shown(s))
		}
	}
	return out
}

// callers are keys of conditions that say who asks, or from where. With fixed values S3 does not take a statement for a
// public one: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
var callers = []string{
	"aws:sourceip", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner", "aws:sourceaccount", "aws:userid",
	"aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "s3:dataaccesspointarn", "s3:dataaccesspointaccount",
}

// limited reports whether a condition limits who is permitted.
func limited(condition any) bool {
	for operator, keys := range members(condition) {
		if strings.Contains(operator, "Not") || strings.HasSuffix(operator, "IfExists") || operator == "Null" {
			continue
		}
		for key, values := range members(keys) {
			anyValue := slices.ContainsFunc(words(values), func(v string) bool {
				return strings.Trim(v, "*") == "" || v == "0.0.0.0/0" || v == "::/0"
			})
			if slices.Contains(callers, strings.ToLower(key)) && !anyValue {
				return true
			}
		}
	}
	return false
}

func sidOf(s json.RawMessage) string {
	var is struct{ Sid string }
	_ = json.Unmarshal(s, &is) // a statement without an id is not ours
	return is.Sid
}

// split returns a statement without the exemption of certain principals, and these. The Terraform module exempts the
// roles that repair and replicate from [sidWrite]. Nobody is exempt from the others, and a pattern could exempt everybody.
func split(s json.RawMessage) (json.RawMessage, []string) {
	var is map[string]any
	if json.Unmarshal(s, &is) != nil {
		return s, nil
	}
	except := words(members(members(is["Condition"])["ArnNotEquals"])["aws:PrincipalArn"])
	pattern := func(arn string) bool { return strings.ContainsAny(arn, "*?") }
	if except == nil || sidOf(s) != sidWrite || slices.ContainsFunc(except, pattern) || len(members(members(is["Condition"])["ArnNotEquals"])) > 1 {
		return s, nil
	}
	delete(members(is["Condition"]), "ArnNotEquals")
	return marshal(is), except
}

// same reports whether two statements mean the same. Services store a list of one as a word, a list in another order,
// and "*" as {"AWS": "*"}.
func same(a, b json.RawMessage) bool {
	return bytes.Equal(plain(a), plain(b))
}

func plain(s json.RawMessage) []byte {
	var is map[string]any
	if json.Unmarshal(s, &is) != nil {
		return s
	}
	for key, value := range is {
		switch key {
		case "Action", "NotAction", "Resource", "NotResource":
			is[key] = words(value)
		case "Principal":
			if who, ok := value.(map[string]any); ok && len(who) == 1 && slices.Equal(words(who["AWS"]), []string{"*"}) {
				is[key] = "*"
			}
		case "Condition":
			for _, keys := range members(value) {
				for name, values := range members(keys) {
					members(keys)[name] = words(values)
				}
			}
		}
	}
	return marshal(is)
}

func members(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// words returns a word, or a list of words in order.
func words(v any) []string {
	switch is := v.(type) {
	case nil:
		return nil
	case []any:
		var out []string
		for _, one := range is {
			out = append(out, fmt.Sprint(one))
		}
		slices.Sort(out)
		return out
	}
	return []string{fmt.Sprint(v)}
}
