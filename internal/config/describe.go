package config

import (
	"reflect"
	"strings"

	"ociproxy/internal/clientip"
	"ociproxy/internal/place"
)

// Stanza is one kind of mapping in the file, as the reference page and the JSON schema show it.
type Stanza struct {
	Type  string   // the Go type's name: its comments are in the source
	Paths []string // where it stands: "stores[]", "places.<cloud/region>"; "" is the top
	Short bool     // may also be written as one word, the value of its first key
	Keys  []Key
}

// Key is one key of a stanza.
type Key struct {
	Name     string
	Field    string   // the Go field's name
	Want     string   // the value in words: "a duration", "a list of places"
	JSON     string   // its scalar type in JSON schema; "" when Stanza says more
	List     bool     // a list of those
	Map      string   // what the keys of the mapping are: "a place"; "" when it is none
	OneWord  bool     // a list that may be written as one word
	Stanza   string   // the type of mapping it holds
	Enum     []string // the only values
	Default  string   // as it would be written; "" when there is none
	Required bool
}

// Describe lists every stanza and key, in the order they are declared. It is for documentation.
func Describe() []Stanza {
	var out []*Stanza
	describe(reflect.TypeFor[Config](), "", &out)
	list := make([]Stanza, len(out))
	for i, s := range out {
		list[i] = *s
	}
	return list
}

func describe(t reflect.Type, path string, out *[]*Stanza) {
	for _, s := range *out {
		if s.Type == t.Name() {
			s.Paths = append(s.Paths, path)
			return
		}
	}
	s := &Stanza{Type: t.Name(), Paths: []string{path}, Short: t == reflect.TypeFor[Behind]() || t == reflect.TypeFor[Admin]()}
	*out = append(*out, s)
	def := reflect.New(t)
	Fill(def.Interface())
	type nested struct {
		t    reflect.Type
		path string
	}
	var below []nested
	for _, f := range fieldsOf(t) {
		sf := t.Field(f.index)
		k := Key{Name: f.key, Field: sf.Name, Required: f.required}
		ft, at := sf.Type, join(path, f.key)
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		k.describe(&ft, &at)
		if lf, ok := leafOf(ft); ok && (k.OneWord || !k.List) && k.Map == "" {
			if v := def.Elem().Field(f.index); !v.IsZero() {
				k.Default = strings.Join(lf.words(v), ", ")
				if lf.list {
					k.Default = "[" + k.Default + "]"
				}
			}
		}
		if k.Stanza != "" {
			below = append(below, nested{ft, at})
		}
		s.Keys = append(s.Keys, k)
	}
	switch {
	case t == reflect.TypeFor[Behind]():
		s.Keys[0].Enum, s.Keys[0].Want = clientip.Presets(), "a known front"
	case t == reflect.TypeFor[Store]():
		for i := range s.Keys {
			if s.Keys[i].Name == "cdn" {
				s.Keys[i].Enum = place.CDNs()
			}
		}
	}
	for _, b := range below {
		describe(b.t, b.path, out)
	}
}

// describe fills in what a key holds. It moves t and at on to the innermost mapping.
func (k *Key) describe(t *reflect.Type, at *string) {
	if lf, ok := leafOf(*t); ok {
		k.leaf(lf, *t)
		return
	}
	switch (*t).Kind() {
	case reflect.Slice:
		*t, k.List = (*t).Elem(), true
		*at += "[]"
	case reflect.Map:
		lf, _ := leafOf((*t).Key())
		k.Map = lf.want
		*t = (*t).Elem()
		*at += ".<" + strings.TrimPrefix(lf.want, "a ") + ">"
	default: // a struct
	}
	if lf, ok := leafOf(*t); ok {
		k.leaf(lf, *t)
		return
	}
	k.Stanza, k.Want = (*t).Name(), "keys and values"
}

func (k *Key) leaf(lf leaf, t reflect.Type) {
	k.Want, k.JSON = lf.want, lf.json
	k.OneWord = lf.list
	k.List = k.List || lf.list
	if e, ok := reflect.Zero(t).Interface().(enum); ok {
		k.Enum = e.Values()
	}
	if t == reflect.TypeFor[Families]() {
		k.Enum = []string{"ipv4", "ipv6"}
	}
}
