package config

import (
	"fmt"

	"ociproxy/internal/key"
)

// maxProbeKeys is far above what the teams and machines of one registry need.
const maxProbeKeys = 16

// maxProbeRPS is what the server can verify for one network: probeid.MaxRPS.
const maxProbeRPS = 200

// probe checks who may ask as another client.
func (v *validator) probe() {
	p := &v.c.Probe
	if p.MaxRPS <= 0 || p.MaxRPS > maxProbeRPS {
		v.fail("probe.maxRPS", "to switch probe identities off, remove the keys", "maxRPS must be more than 0 and at most %d", maxProbeRPS)
	}
	if n := len(p.Keys); n > maxProbeKeys {
		v.fail(fmt.Sprintf("probe.keys[%d]", maxProbeKeys), "remove those that are not in use", "%d keys are more than %d", n, maxProbeKeys)
	}
	first := map[string]string{} // names, and keys by their ID → path
	for i, k := range p.Keys {
		at := fmt.Sprintf("probe.keys[%d]", i)
		if !candidateName.MatchString(k.Name) {
			v.fail(at+".name", "lower-case letters, digits and inner . _ -, at most 63", "not a name: %q", shorten(k.Name))
		}
		if v.bad[at+".name"] || v.bad[at+".key"] {
			continue
		}
		v.once(first, at+".name", k.Name, "give each key a name of its own", "two keys have the name "+k.Name)
		v.once(first, at+".key", key.ID(k.Key), "remove one, or make another key with oci-proxyctl key new", "the key is listed twice")
	}
}

// once reports a value at a path that first has already. A value that the file does not have, because something else stands
// there, is no value.
func (v *validator) once(first map[string]string, path, value, hint, message string) {
	if v.nodes[path] == nil {
		return
	}
	if was, dup := first[value]; dup {
		v.fail(path, fmt.Sprintf("line %d has it already: %s", v.nodes[was].Line, hint), "%s", message)
		return
	}
	first[value] = path
}
