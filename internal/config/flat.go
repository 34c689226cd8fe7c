package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Value is one effective value of a config or of one of its stanzas.
type Value struct {
	Key  string `json:"key"`  // its path: "stores[3].state", or "inventory.url" within a stanza
	Text string `json:"text"` // as the file spells it; a list of words has commas between them
}

// Values lists the effective values of v, a *Config or a pointer to one of its stanzas, in the order in which the
// fields are declared. Like [Print], it leaves out a key whose value and default are both empty.
func Values(v any) []Value {
	var out []Value
	flatten(reflect.ValueOf(v).Elem(), "", &out)
	return out
}

func flatten(v reflect.Value, path string, out *[]Value) {
	if lf, ok := leafOf(v.Type()); ok {
		*out = append(*out, Value{path, strings.Join(lf.words(v), ", ")})
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			flatten(v.Elem(), path, out)
		}
	case reflect.Slice:
		for i := range v.Len() {
			flatten(v.Index(i), fmt.Sprintf("%s[%d]", path, i), out)
		}
	case reflect.Map:
		lf, _ := leafOf(v.Type().Key())
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(lf.words(a)[0], lf.words(b)[0]) })
		for _, k := range keys {
			flatten(v.MapIndex(k), join(path, lf.words(k)[0]), out)
		}
	case reflect.Struct:
		def := reflect.New(v.Type())
		Fill(def.Interface())
		for _, f := range fieldsOf(v.Type()) {
			if val := v.Field(f.index); !val.IsZero() || !def.Elem().Field(f.index).IsZero() {
				flatten(val, join(path, f.key), out)
			}
		}
	default:
		panic("config: no writer for " + v.Type().String()) // a test reads every type of the file
	}
}

// Difference is one value in which two configs differ.
type Difference struct {
	Key string `json:"key"` // its path: "stores[3].state"
	Was string `json:"was"` // as the file spells it; "" when the key had no value
	Is  string `json:"is"`
}

// Compare lists the effective values in which two configs differ, in the order of the file's reference. It compares
// by path: if a store is removed, all stores behind it differ.
func Compare(is, was *Config) []Difference {
	var out []Difference
	before := map[string]string{}
	old := Values(was)
	for _, v := range old {
		before[v.Key] = v.Text
	}
	now := map[string]bool{}
	for _, v := range Values(is) {
		now[v.Key] = true
		if text, ok := before[v.Key]; !ok || text != v.Text {
			out = append(out, Difference{v.Key, text, v.Text})
		}
	}
	for _, v := range old {
		if !now[v.Key] {
			out = append(out, Difference{Key: v.Key, Was: v.Text})
		}
	}
	return out
}

// Hash returns the lower-case hex SHA-256 of what the config says about the store: its effective values, however the
// file spells them. Three keys do not count: `state`, `rollout` and `announce`, with which operators give a store more
// or less traffic. So a verdict about a store holds until the store itself becomes another one.
func (s *Store) Hash() string {
	h := sha256.New()
	for _, v := range Values(s) {
		if key, _, _ := strings.Cut(v.Key, "."); key != "state" && key != "rollout" && key != "announce" {
			fmt.Fprintf(h, "%q %q\n", v.Key, v.Text)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
