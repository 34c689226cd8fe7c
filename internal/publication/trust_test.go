package publication_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publicationtest"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func metaOf(generation uint64) publication.Meta {
	return publication.Meta{Version: publication.Version, Deployment: publicationtest.Deployment, Generation: generation, SignedAt: noon}
}

func keysOf(generation uint64) *publication.Keys {
	return &publication.Keys{
		Meta:     metaOf(generation),
		Config:   []publication.NamedKey{{Name: "ci", Key: key.Format(publicationtest.Config.Public())}},
		Override: []publication.NamedKey{{Name: "oncall", Key: key.Format(publicationtest.Override.Public())}},
	}
}

func headOf(generation uint64) *publication.Head {
	return &publication.Head{Meta: metaOf(generation), Ring: "all", SHA256: publication.Hash([]byte("a")), Bytes: 1, PublishedAt: noon}
}

func overridesOf(generation uint64) *publication.Overrides {
	return &publication.Overrides{Meta: metaOf(generation), Overrides: []publication.Override{
		{ID: "x", Action: publication.Off, Candidate: "s3", Why: "dead", By: "me", From: noon, Until: noon.Add(publication.MaxOverride)},
	}}
}

func sign(t *testing.T, with envelope.Signer, document interface{ Check() error }) []byte {
	t.Helper()
	text, err := publication.Sign(t.Context(), with, document)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// documents are the three kinds: how one is made and accepted, and who may sign it.
var documents = map[string]struct {
	of     func(generation uint64) (document interface{ Check() error }, meta *publication.Meta)
	accept func(*publication.Trust, []byte) error
	signer envelope.Signer
	others []envelope.Signer
}{
	"keys": {
		func(n uint64) (interface{ Check() error }, *publication.Meta) { k := keysOf(n); return k, &k.Meta },
		func(t *publication.Trust, text []byte) error { _, err := t.AcceptKeys(text, noon); return err },
		publicationtest.Root, []envelope.Signer{publicationtest.Config, publicationtest.Override, publicationtest.Signer('x')},
	},
	"head": {
		func(n uint64) (interface{ Check() error }, *publication.Meta) { h := headOf(n); return h, &h.Meta },
		func(t *publication.Trust, text []byte) error { _, err := t.AcceptHead("all", text, noon); return err },
		publicationtest.Config, []envelope.Signer{publicationtest.Root, publicationtest.Override, publicationtest.Signer('x')},
	},
	"overrides": {
		func(n uint64) (interface{ Check() error }, *publication.Meta) { o := overridesOf(n); return o, &o.Meta },
		func(t *publication.Trust, text []byte) error { _, err := t.AcceptOverrides(text, noon); return err },
		publicationtest.Override, []envelope.Signer{publicationtest.Root, publicationtest.Config, publicationtest.Signer('x')},
	},
}

// trust has accepted a set of keys.
func trust(t *testing.T) *publication.Trust {
	t.Helper()
	out := &publication.Trust{Deployment: publicationtest.Deployment, Roots: []ed25519.PublicKey{publicationtest.Root.Public()}}
	if _, err := out.AcceptKeys(sign(t, publicationtest.Root, keysOf(1)), noon); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTrust: of each kind of document, one by the right key is believed, and each fault has its word. A key of one role
// signs nothing of another, although the documents are the same.
func TestTrust(t *testing.T) {
	for kind, d := range documents {
		want := func(name string, who *publication.Trust, text []byte, fault publication.Fault) {
			t.Helper()
			if err := d.accept(who, text); publication.FaultOf(err) != fault {
				t.Errorf("%s, %s: %v, want the fault %q", kind, name, err, fault)
			}
		}
		made := func(generation uint64, edit func(*publication.Meta)) []byte {
			document, meta := d.of(generation)
			edit(meta)
			if o, ok := document.(*publication.Overrides); ok && o.SignedAt.Before(noon.Add(-publication.MaxSkew)) {
				o.Overrides[0].From, o.Overrides[0].Until = o.SignedAt, o.SignedAt.Add(time.Hour)
			}
			return sign(t, d.signer, document)
		}
		same := func(*publication.Meta) {}
		want("good", trust(t), made(5, same), "")
		for _, other := range d.others {
			document, _ := d.of(5)
			want("another key", trust(t), sign(t, other, document), publication.Unsigned)
		}
		good := made(5, same)
		want("cut", trust(t), good[:len(good)/2], publication.Bad)
		begin := base64.StdEncoding.EncodeToString([]byte(`{"version`)) // of every payload
		want("other bytes", trust(t), bytes.Replace(good, []byte(begin), []byte(base64.StdEncoding.EncodeToString([]byte(`{"Version`))), 1), publication.Unsigned)
		want("large", trust(t), append(good, strings.Repeat(" ", publication.MaxDocument)...), publication.Bad)
		want("foreign", trust(t), made(5, func(m *publication.Meta) { m.Deployment = "sandbox" }), publication.Foreign)
		want("7 days old", trust(t), made(5, func(m *publication.Meta) { m.SignedAt = noon.Add(-publication.DefaultMaxAge) }), "")
		want("stale", trust(t), made(5, func(m *publication.Meta) { m.SignedAt = noon.Add(-publication.DefaultMaxAge - time.Second) }), publication.Stale)
		want("10 minutes ahead", trust(t), made(5, func(m *publication.Meta) { m.SignedAt = noon.Add(publication.MaxSkew) }), "")
		want("in the future", trust(t), made(5, func(m *publication.Meta) { m.SignedAt = noon.Add(publication.MaxSkew + time.Second) }), publication.Clock)

		who := trust(t)
		want("first", who, good, "")
		want("earlier", who, made(4, same), publication.Replayed)
		want("earlier signature", who, made(5, func(m *publication.Meta) { m.SignedAt = noon.Add(-time.Second) }), publication.Replayed)
		want("signed again", who, made(5, func(m *publication.Meta) { m.SignedAt = noon.Add(time.Second) }), "")
		want("after a fault", who, made(6, func(m *publication.Meta) { m.Deployment = "sandbox" }), publication.Foreign)
		want("what was refused does not count", who, made(5, func(m *publication.Meta) { m.SignedAt = noon.Add(time.Second) }), "")
		want("later", who, made(6, same), "")
	}
}

// TestTrustOfOneKind: what only one kind of document can have.
func TestTrustOfOneKind(t *testing.T) {
	is := func(name string, err error, fault publication.Fault) {
		t.Helper()
		if publication.FaultOf(err) != fault {
			t.Errorf("%s: %v, want the fault %q", name, err, fault)
		}
	}
	who := trust(t)
	head := headOf(2)
	text := sign(t, publicationtest.Config, head)
	_, err := who.AcceptHead("canary", text, noon)
	is("a head of another ring", err, publication.Foreign)
	_, err = who.AcceptOverrides(sign(t, publicationtest.Override, head), noon)
	is("a head in place of overrides", err, publication.Bad)
	_, err = who.AcceptHead("all", sign(t, publicationtest.Config, overridesOf(9)), noon)
	is("overrides in place of a head", err, publication.Bad)
	_, err = who.AcceptHead("all", text, noon)
	is("a head", err, "")
	is("its content", head.CheckContent([]byte("a")), "")
	is("another content", head.CheckContent([]byte("b")), publication.Bad)
	is("a longer content", head.CheckContent([]byte("aa")), publication.Bad)
	head.SHA256 = publication.Hash([]byte("b"))
	_, err = who.AcceptHead("all", sign(t, publicationtest.Config, head), noon)
	is("another content of the same generation", err, publication.Replayed)

	o := overridesOf(2)
	_, err = who.AcceptOverrides(sign(t, publicationtest.Override, o), noon)
	is("overrides", err, "")
	o.Overrides[0].Candidate = "s4"
	_, err = who.AcceptOverrides(sign(t, publicationtest.Override, o), noon)
	is("other overrides of the same generation", err, publication.Replayed)

	k := keysOf(1)
	k.Override = nil
	_, err = who.AcceptKeys(sign(t, publicationtest.Root, k), noon)
	is("another set of the same generation", err, publication.Replayed)
	k = keysOf(2)
	k.Config[0].Key = key.Format(publicationtest.Signer('d').Public())
	_, err = who.AcceptKeys(sign(t, publicationtest.Root, k), noon)
	is("a new config key", err, "")
	_, err = who.AcceptHead("all", sign(t, publicationtest.Config, headOf(7)), noon)
	is("the old config key", err, publication.Unsigned)
	_, err = who.AcceptHead("all", sign(t, publicationtest.Signer('d'), headOf(7)), noon)
	is("the new config key", err, "")

	// Without a set of keys the root key signs heads, and nobody signs overrides.
	who = &publication.Trust{Deployment: publicationtest.Deployment, Roots: []ed25519.PublicKey{publicationtest.Root.Public()}}
	_, err = who.AcceptOverrides(sign(t, publicationtest.Root, overridesOf(1)), noon)
	is("overrides without a set of keys", err, publication.Unsigned)
	_, err = who.AcceptHead("all", sign(t, publicationtest.Root, headOf(1)), noon)
	is("a head by the root key", err, "")
}

// TestRevokedRoot: a root key that was revoked once signs no set of keys any more, also when a later set does not say so.
func TestRevokedRoot(t *testing.T) {
	second := publicationtest.Signer('s')
	who := &publication.Trust{Deployment: publicationtest.Deployment, Roots: []ed25519.PublicKey{publicationtest.Root.Public(), second.Public()}}
	k := keysOf(1)
	k.RevokedRoots = []string{key.ID(publicationtest.Root.Public())}
	if _, err := who.AcceptKeys(sign(t, publicationtest.Root, k), noon); publication.FaultOf(err) != publication.Bad {
		t.Errorf("a key that revokes itself: %v", err)
	}
	if _, err := who.AcceptKeys(sign(t, second, k), noon); err != nil {
		t.Fatal(err)
	}
	if _, err := who.AcceptKeys(sign(t, second, keysOf(2)), noon); err != nil {
		t.Error(err)
	}
	if _, err := who.AcceptKeys(sign(t, publicationtest.Root, keysOf(3)), noon); publication.FaultOf(err) != publication.Unsigned {
		t.Errorf("the revoked key: %v", err)
	}
}

// read returns what a reader says of a document that somebody with the right key has signed without [publication.Sign].
func read(t *testing.T, document any) error {
	t.Helper()
	payload, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	kind, d := publication.HeadType, documents["head"]
	switch document.(type) {
	case *publication.Keys:
		kind, d = publication.KeysType, documents["keys"]
	case *publication.Overrides:
		kind, d = publication.OverridesType, documents["overrides"]
	}
	text, err := envelope.SignWith(t.Context(), d.signer, kind, payload)
	if err != nil {
		t.Fatal(err)
	}
	return d.accept(trust(t), text)
}

// TestDocuments: what no document may say, whoever signs it. Readers refuse it, and Sign does.
func TestDocuments(t *testing.T) {
	override := func(edit func(*publication.Override)) *publication.Overrides {
		o := overridesOf(1)
		edit(&o.Overrides[0])
		return o
	}
	head := func(edit func(*publication.Head)) *publication.Head { h := headOf(9); edit(h); return h }
	keys := func(edit func(*publication.Keys)) *publication.Keys { k := keysOf(1); edit(k); return k }
	for want, documents := range map[string][]interface{ Check() error }{
		"": {
			override(func(*publication.Override) {}), head(func(*publication.Head) {}), keys(func(*publication.Keys) {}),
			override(func(o *publication.Override) {
				o.Action, o.Candidate, o.Until, o.Repository = publication.Deny, "", time.Time{}, "a"
			}),
		},
		"more than 24h":        {override(func(o *publication.Override) { o.Until = o.Until.Add(time.Second) })},
		"off needs until":      {override(func(o *publication.Override) { o.Until = time.Time{} })},
		"until is not after":   {override(func(o *publication.Override) { o.Until = o.From })},
		"no from":              {override(func(o *publication.Override) { o.From = time.Time{} })},
		"want a reason":        {override(func(o *publication.Override) { o.Why = "" })},
		"no candidate":         {override(func(o *publication.Override) { o.Candidate = "" })},
		"do not belong to off": {override(func(o *publication.Override) { o.To = []string{"s4"} }), override(func(o *publication.Override) { o.Cloud = "aws" })},
		"unknown action":       {override(func(o *publication.Override) { o.Action = "url" })},
		"a pin needs":          {override(func(o *publication.Override) { o.Action, o.Cloud = publication.Pin, "aws" })},
		"deny needs":           {override(func(o *publication.Override) { o.Action, o.Digest, o.Repository = publication.Deny, "a", "b" })},
		"want 1 to 63": {
			override(func(o *publication.Override) { o.ID = "A" }), head(func(h *publication.Head) { h.Ring = "../all" }),
			head(func(h *publication.Head) { h.Deployment = "" }),
		},
		"listed twice": {
			&publication.Overrides{Meta: metaOf(1), Overrides: append(overridesOf(1).Overrides, overridesOf(1).Overrides...)},
			keys(func(k *publication.Keys) { k.Override[0].Key = k.Config[0].Key }),
		},
		"no list":            {&publication.Overrides{Meta: metaOf(1)}},
		"more than 256":      {&publication.Overrides{Meta: metaOf(1), Overrides: make([]publication.Override, publication.MaxOverrides+1)}},
		"no config key":      {keys(func(k *publication.Keys) { k.Config = nil })},
		"more than 32":       {keys(func(k *publication.Keys) { k.Config = make([]publication.NamedKey, publication.MaxKeys+1) })},
		"sha256":             {head(func(h *publication.Head) { h.SHA256 = "../" + h.SHA256[3:] })},
		"impossible size":    {head(func(h *publication.Head) { h.Bytes = 0 })},
		"no generation":      {head(func(h *publication.Head) { h.Generation = 0 })},
		"is too high before": {head(func(h *publication.Head) { h.Generation = 1<<53 + 1 })},
		"is listed after": {head(func(h *publication.Head) {
			h.Previous = []publication.Earlier{{Generation: h.Generation, SHA256: h.SHA256, Bytes: 1}}
		})},
		"version 2":   {head(func(h *publication.Head) { h.Version = 2 })},
		"no signedAt": {head(func(h *publication.Head) { h.SignedAt = time.Time{} })},
	} {
		for _, d := range documents {
			err := d.Check()
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", d, err, want)
			}
			if _, signed := publication.Sign(t.Context(), publicationtest.Root, d); (signed == nil) != (err == nil) {
				t.Errorf("%+v: Sign says %v, Check says %v", d, signed, err)
			}
			if fault := publication.FaultOf(read(t, d)); err != nil && fault != publication.Bad {
				t.Errorf("%+v: a reader says %q, want %q", d, fault, publication.Bad)
			}
		}
	}
}
