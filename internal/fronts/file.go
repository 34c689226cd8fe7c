package fronts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// File is a file of fronts, `fronts.auto.tfvars.json`. Its keys are variables of the modules in
// deploy/terraform/two-fronts-dns. It may have other keys.
type File struct {
	Zone   string           `json:"zone"` // that both providers serve
	Name   string           `json:"name"` // of the registry
	TTL    int              `json:"ttl"`  // of the addresses, in seconds
	Fronts map[string]Front `json:"fronts"`

	text []byte
}

// Front is one front of the registry.
type Front struct {
	On     *bool        `json:"on"`     // whether it has addresses in DNS
	Weight int          `json:"weight"` // its share is its weight in those of all that are on
	IPv4   []netip.Addr `json:"ipv4"`
	IPv6   []netip.Addr `json:"ipv6"`
}

// MaxTTL is the longest time, in seconds, that a resolver may keep the addresses: the time in which a switch reaches
// all clients.
const MaxTTL = 60

// ErrLast is the error when no front would stay on.
var ErrLast = errors.New("no front would be left on")

// Parse reads a file of fronts.
func Parse(text []byte) (*File, error) {
	f := &File{text: text}
	if err := json.Unmarshal(text, f); err != nil {
		return nil, err
	}
	switch {
	case f.Zone == "" || f.Name == "":
		return nil, errors.New("zone and name: give both")
	case f.Name != f.Zone && !strings.HasSuffix(f.Name, "."+f.Zone):
		return nil, fmt.Errorf("name: %s is not in the zone %s", f.Name, f.Zone)
	case f.TTL < 1 || f.TTL > MaxTTL:
		return nil, fmt.Errorf("ttl: %d is not in 1 to %d", f.TTL, MaxTTL)
	}
	of := map[netip.Addr]string{}
	for _, name := range f.Names() {
		front := f.Fronts[name]
		switch {
		case front.On == nil:
			return nil, fmt.Errorf("fronts.%s.on: give true or false", name)
		case front.Weight < 1 || front.Weight > 255:
			return nil, fmt.Errorf("fronts.%s.weight: %d is not in 1 to 255", name, front.Weight)
		case len(front.IPv4)+len(front.IPv6) == 0:
			return nil, fmt.Errorf("fronts.%s: it has no address", name)
		}
		for _, addr := range front.addresses() {
			if other, known := of[addr]; known {
				return nil, fmt.Errorf("fronts.%s: %s is also an address of %s", name, addr, other)
			}
			of[addr] = name
		}
	}
	if f.on() == 0 {
		return nil, ErrLast
	}
	return f, nil
}

// Names returns the names of all fronts in order.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.Fronts)) }

// on returns the weights of all fronts that are on.
func (f *File) on() (sum int) {
	for _, front := range f.Fronts {
		if *front.On {
			sum += front.Weight
		}
	}
	return sum
}

// Share returns the share of the answers that a front gets while all fronts are healthy: 0 to 1.
func (f *File) Share(name string) float64 {
	front := f.Fronts[name]
	if front.On == nil || !*front.On {
		return 0
	}
	return float64(front.Weight) / float64(f.on())
}

func (f Front) addresses() []netip.Addr { return slices.Concat(f.IPv4, f.IPv6) }

// Switched returns the text of the file with one front on or off. Every other byte stays as it is. The error is
// [ErrLast] when it is the last one that is on.
func (f *File) Switched(name string, on bool) ([]byte, error) {
	if _, known := f.Fronts[name]; !known {
		return nil, fmt.Errorf("no front %q: the fronts are %s", name, strings.Join(f.Names(), ", "))
	}
	if !on && f.on() == f.Fronts[name].Weight && *f.Fronts[name].On {
		return nil, ErrLast
	}
	begin, end, err := valueAt(f.text, []string{"fronts", name, "on"})
	if err != nil {
		return nil, err
	}
	text := slices.Concat(f.text[:begin], fmt.Append(nil, on), f.text[end:])
	is, err := Parse(text)
	if err == nil && *is.Fronts[name].On != on {
		err = errors.New("the key is there twice")
	}
	if err != nil {
		return nil, fmt.Errorf("fronts.%s.on: %w", name, err)
	}
	return text, nil
}

// valueAt returns where the literal at a path of keys is in a JSON document: its first byte and the one after it.
func valueAt(text []byte, path []string) (begin, end int, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	var at []string // keys of the objects around; "" for arrays
	key, inArray := "", []bool{}
	expectKey := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return 0, 0, fmt.Errorf("%s: not found", strings.Join(path, "."))
		}
		if err != nil {
			return 0, 0, err
		}
		array := len(inArray) > 0 && inArray[len(inArray)-1]
		switch v := token.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				if len(inArray) > 0 {
					at = append(at, key)
				}
				inArray = append(inArray, v == '[')
				expectKey, key = v == '{', ""
				continue
			}
			inArray = inArray[:len(inArray)-1]
			if len(at) > 0 {
				at = at[:len(at)-1]
			}
			expectKey = len(inArray) > 0 && !inArray[len(inArray)-1]
		case string:
			if expectKey {
				key, expectKey = v, false
				continue
			}
			expectKey = !array
		default:
			if !array && key == path[len(path)-1] && slices.Equal(at, path[:len(path)-1]) {
				if literal, ok := v.(bool); ok {
					end := int(d.InputOffset())
					return end - len(fmt.Sprint(literal)), end, nil
				}
			}
			expectKey = !array
		}
	}
}
