package config

import (
	"reflect"

	yaml "go.yaml.in/yaml/v4"
)

// Decode reads the text of a file of another kind into v, as strictly as a config: v points to a struct with the tags and
// types that [Config] has. What v holds before is the default of what the file does not say; elements of lists begin
// empty. name is what messages call the file. check may report more faults, each at a path such as gates[2].expr; of a
// path that could not be read, nothing more is said. The error is an *[Errors].
func Decode(name string, text []byte, v any, check func(fail func(path, hint, format string, args ...any))) error {
	d := &decoder{source: newSource(name, text), nodes: map[string]*yaml.Node{}, bad: map[string]bool{}}
	if len(text) > MaxBytes {
		d.add(&Error{Message: "the file is too large"})
	} else if root, partial := d.parse(text); root != nil && !d.newer(root) {
		d.value(root, reflect.ValueOf(v).Elem(), "")
		if partial {
			d.keepBefore()
		} else {
			check((&validator{decoder: d}).fail)
		}
	}
	if len(d.faults) > 0 {
		return &Errors{List: sorted(d.faults)}
	}
	return nil
}
