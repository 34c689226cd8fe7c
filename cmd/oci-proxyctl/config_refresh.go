package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
)

// refreshKeys are the keys to sign again with; nil leaves the documents of that role alone.
type refreshKeys struct{ root, config, override envelope.Signer }

func (r *refreshKeys) open(a *app, k *documentKey, rootKey, overrideKey string) (err error) {
	for _, one := range []struct {
		file string
		to   *envelope.Signer
	}{{rootKey, &r.root}, {overrideKey, &r.override}} {
		if one.file == "" {
			continue
		}
		private, err := key.Read(one.file)
		if err != nil {
			return cli.Fail("key new FILE makes a key", "read key: %w", err)
		}
		*one.to = envelope.Key(private)
	}
	if k.file == "" && k.command == "" && a.env(keyVariable) == "" && (r.root != nil || r.override != nil) {
		return nil
	}
	r.config, err = k.signer(a, configRole)
	return err
}

// refreshedDoc is the JSON document of config refresh. Only add fields; never remove one.
type refreshedDoc struct {
	Signed []string `json:"signed"` // names of documents
	Old    []string `json:"old"`    // those that were not, and soon become stale
}

func (a *app) refreshed(state *publish.State, keys *refreshKeys) error {
	doc := refreshedDoc{Signed: []string{}, Old: []string{}}
	note := func(name string, at *publication.Meta, signed bool) {
		switch age := time.Since(at.SignedAt); {
		case signed:
			doc.Signed = append(doc.Signed, name)
		case age > old:
			doc.Old = append(doc.Old, name)
			a.warn("%s was last signed %s ago; instances that start refuse it after 7 days", name, days(age))
		}
	}
	for _, ring := range state.Rings() {
		note(publication.HeadName(ring), &state.Heads[ring].Meta, keys.config != nil)
	}
	if state.Overrides != nil {
		note(publication.OverridesName, &state.Overrides.Meta, keys.override != nil)
	}
	if state.Keys != nil {
		note(publication.KeysName, &state.Keys.Meta, keys.root != nil)
	}
	for name, fault := range state.Faults {
		a.warn("%s is left alone, because it cannot be believed: %v", name, fault)
	}
	var err error
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, doc)
	} else {
		_, err = fmt.Fprintf(a.stdout, "signed again: %s\n", cmp.Or(strings.Join(doc.Signed, ", "), "nothing"))
	}
	if err == nil && len(state.Faults) > 0 {
		err = cli.Fail(unbelieved, "%s not signed again", cli.Count(int64(len(state.Faults)), "document"))
	}
	return err
}

// unbelieved is what to do when a document cannot be believed, for instance because the key that alone had signed it was
// revoked.
const unbelieved = "if you revoked the key that signed it, publish a config or overrides that you know, with --replace"

// days shows an age for people.
func days(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return d.Round(time.Second).String()
}
