package envelope

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/key"
)

// pair makes the same key each time.
func pair(seed byte) (ed25519.PrivateKey, ed25519.PublicKey) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return private, key.Public(private)
}

func admission() *Record {
	return &Record{
		Kind: Admission, Version: RecordVersion, Made: time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC), By: Tool{"oci-proxyctl", "v1.2.3"},
		Subject: Subject{Store: "s3", URL: "https://s3.example/{digest}", Stanza: "00ff"}, Verdict: Pass,
		Findings: []Finding{{Check: "range", Result: "ok"}},
	}
}

func sign(t testing.TB, private ed25519.PrivateKey, payload string) []byte {
	t.Helper()
	text, err := Sign(private, Admission.Type(), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRecordReadsBack(t *testing.T) {
	mine, public := pair(1)
	_, other := pair(2)
	want := admission()
	text, err := want.Sign(mine)
	if err != nil {
		t.Fatal(err)
	}
	got, id, err := OpenRecord(text, Admission, other, public, public)
	if err != nil || id != key.ID(public) {
		t.Fatalf("key %s, %v", id, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Verified by another implementation's rules: what is signed is the specification's PAE, byte by byte.
func TestSignedBytes(t *testing.T) {
	mine, public := pair(1)
	var e struct {
		Payload    []byte
		Signatures []struct{ Sig []byte }
	}
	if err := json.Unmarshal(sign(t, mine, `{"a":1}`), &e); err != nil {
		t.Fatal(err)
	}
	const kind = "application/vnd.oci-proxy.admission.v1+json"
	pae := fmt.Sprintf("DSSEv1 %d %s %d %s", len(kind), kind, 7, `{"a":1}`)
	if string(e.Payload) != `{"a":1}` || !ed25519.Verify(public, []byte(pae), e.Signatures[0].Sig) {
		t.Errorf("%+v", e)
	}
}

// TestOpenRefuses changes a good envelope in every way that a forger could try.
func TestOpenRefuses(t *testing.T) {
	mine, public := pair(1)
	foreign, other := pair(2)
	const payload = `{"verdict":"pass"}`
	good := string(sign(t, mine, payload))
	swap := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("no %s in %s", from, good)
		}
		return strings.Replace(good, from, to, 1)
	}
	encode := base64.StdEncoding.EncodeToString
	theirs := string(sign(t, foreign, payload))
	sig := good[strings.Index(good, `"sig": "`)+8:][:88]
	for name, tt := range map[string]struct {
		text string
		keys []ed25519.PublicKey
		want error
	}{
		"good":                       {good, []ed25519.PublicKey{public}, nil},
		"no name of a key":           {swap(key.ID(public), ""), []ed25519.PublicKey{public}, nil},
		"a wrong name of a key":      {swap(key.ID(public), key.ID(other)), []ed25519.PublicKey{public}, nil},
		"no key":                     {good, nil, ErrNoKey},
		"another key":                {good, []ed25519.PublicKey{other}, ErrUntrusted},
		"an empty key":               {good, []ed25519.PublicKey{{}}, ErrUntrusted},
		"no name and an empty key":   {swap(key.ID(public), ""), []ed25519.PublicKey{{}}, ErrUntrusted},
		"another key under our name": {strings.Replace(theirs, key.ID(other), key.ID(public), 1), []ed25519.PublicKey{public}, ErrUntrusted},
		"another payload":            {swap(encode([]byte(payload)), encode([]byte(`{"verdict":"fail"}`))), []ed25519.PublicKey{public}, ErrUntrusted},
		"another type":               {swap("admission", "rollout"), []ed25519.PublicKey{public}, ErrType},
		"no type":                    {swap(Admission.Type(), ""), []ed25519.PublicKey{public}, ErrFormat},
		"type in another case":       {swap("admission", "Admission"), []ed25519.PublicKey{public}, ErrType},
		"a flipped bit":              {swap(sig, "A"+sig[1:]), []ed25519.PublicKey{public}, ErrUntrusted},
		"an empty signature":         {swap(sig, ""), []ed25519.PublicKey{public}, ErrUntrusted},
		"a short signature":          {swap(sig, "AAAA"), []ed25519.PublicKey{public}, ErrUntrusted},
		"no base64":                  {swap(sig, "!"), []ed25519.PublicKey{public}, ErrFormat},
		"another base64":             {swap(encode([]byte(payload)), "_-_-"), []ed25519.PublicKey{public}, ErrFormat},
		"no signatures":              {`{"payloadType":"` + Admission.Type() + `","payload":"e30=","signatures":[]}`, []ed25519.PublicKey{public}, ErrFormat},
		"another key of JSON":        {swap(`"payload":`, `"extra": 1, "payload":`), []ed25519.PublicKey{public}, ErrFormat},
		"a key twice":                {swap(`"payload":`, `"payload": "e30=", "payload":`), []ed25519.PublicKey{public}, ErrFormat},
		"a key in another case":      {swap(`"payload":`, `"Payload":`), []ed25519.PublicKey{public}, ErrFormat},
		"more behind it":             {good + "{}", []ed25519.PublicKey{public}, ErrFormat},
		"nothing":                    {"", []ed25519.PublicKey{public}, ErrFormat},
		"the payload alone":          {payload, []ed25519.PublicKey{public}, ErrFormat},
		"null":                       {"null", []ed25519.PublicKey{public}, ErrFormat},
		"too large":                  {good + strings.Repeat(" ", MaxBytes), []ed25519.PublicKey{public}, ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			got, id, err := Open([]byte(tt.text), Admission.Type(), tt.keys...)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if (err == nil) != (string(got) == payload && id == key.ID(public)) {
				t.Errorf("%q, %s, %v", got, id, err)
			}
		})
	}
}

// A second signature neither helps a forger nor harms a reader, and their number has a bound.
func TestSeveralSignatures(t *testing.T) {
	mine, public := pair(1)
	foreign, other := pair(2)
	const payload = `{}`
	part := func(text []byte) string {
		s := string(text)
		return s[strings.Index(s, "{\n      \"keyid\"") : strings.LastIndex(s, "}\n  ]")+1]
	}
	good := string(sign(t, mine, payload))
	ours, theirs := part([]byte(good)), part(sign(t, foreign, payload))
	with := func(list ...string) []byte {
		return []byte(strings.Replace(good, ours, strings.Join(list, ","), 1))
	}
	for _, list := range [][]string{{ours, theirs}, {theirs, ours}, {ours, ours}, slices.Repeat([]string{theirs, ours}, maxSignatures/2)} {
		if _, id, err := Open(with(list...), Admission.Type(), public); err != nil || id != key.ID(public) {
			t.Errorf("%d signatures: %s, %v", len(list), id, err)
		}
	}
	if _, id, err := Open(with(theirs, ours), Admission.Type(), public, other); err != nil || id == "" {
		t.Error(id, err)
	}
	if _, _, err := Open(with(slices.Repeat([]string{theirs}, 3)...), Admission.Type(), public); !errors.Is(err, ErrUntrusted) {
		t.Error(err)
	}
	if _, _, err := Open(with(slices.Repeat([]string{ours}, maxSignatures+1)...), Admission.Type(), public); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

func TestPeek(t *testing.T) {
	mine, public := pair(1)
	r := admission()
	plain, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := r.Sign(mine)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		text []byte
		want Content
	}{
		"signed": {signed, Content{Admission.Type(), plain, []string{key.ID(public)}}},
		"plain":  {plain, Content{Admission.Type(), plain, nil}},
	} {
		got, err := Peek(tt.text)
		if err != nil {
			t.Fatal(name, err)
		}
		if diff := cmp.Diff(&tt.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	for _, text := range []string{"", "{}", `{"kind":"admission"}`, "[]"} {
		if _, err := Peek([]byte(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	mine, _ := pair(1)
	if _, err := Sign(mine, "", []byte("{}")); err == nil {
		t.Error("no type")
	}
	if _, err := Sign(mine, Admission.Type(), make([]byte, MaxBytes)); err == nil {
		t.Error("what no reader accepts is signed")
	}
}

// A record that says something else than its envelope's type, or that this release does not understand, is refused.
func TestRecordRefused(t *testing.T) {
	mine, public := pair(1)
	good, err := admission().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		`"kind": "admission"`: `"kind": "rollout"`,
		`"version": 1,`:       `"version": 2,`,
		`"made": "2026`:       `"made": "year`,
		`"verdict": "pass"`:   `"verdict": "ok"`,
		`"store": "s3",`:      ``,
		`"stanza"`:            `"hash"`,
		`"by"`:                `"By"`,
		"\n}\n":               "",
	} {
		if !strings.Contains(string(good), from) {
			t.Fatalf("no %s in %s", from, good)
		}
		text := strings.Replace(string(good), from, to, 1)
		if _, _, err := OpenRecord(sign(t, mine, text), Admission, public); err == nil {
			t.Errorf("%s is read", to)
		}
	}
	none := Record{Kind: Admission, Version: RecordVersion, Verdict: Pass}
	if _, err := none.Encode(); err == nil {
		t.Error("a record without a time is written")
	}
}

// FuzzOpen looks for a text that is opened although nobody signed it.
func FuzzOpen(f *testing.F) {
	mine, public := pair(1)
	foreign, _ := pair(2)
	const payload = `{"kind":"admission"}`
	f.Add(sign(f, mine, payload))
	f.Add(sign(f, foreign, payload))
	f.Add([]byte(`{"payloadType":"application/vnd.oci-proxy.admission.v1+json","payload":"","signatures":[{"keyid":"","sig":""}]}`))
	signed, err := admission().Sign(mine)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	whole, err := admission().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, text []byte) {
		got, _, err := Open(text, Admission.Type(), public)
		if err == nil && string(got) != payload && !bytes.Equal(got, whole) {
			t.Errorf("opened %q", got)
		}
		peeked, perr := Peek(text)
		if err == nil && (perr != nil || !bytes.Equal(peeked.Payload, got)) {
			t.Errorf("Open reads %q, Peek %v, %v", got, peeked, perr)
		}
		if perr == nil && len(peeked.Payload) > MaxBytes {
			t.Errorf("%d bytes", len(peeked.Payload))
		}
	})
}
