package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// Format gives a file its canonical layout: one line a digest with its tags behind it, quoted; two blanks of indentation, no blank
// line twice. Order, grouping and comments stay. It works on every kind of manifest and does nothing to a file that has it
// already. The error is an *Errors when the file has faults, which must be repaired first.
func Format(name string, data []byte) ([]byte, error) {
	data = bytes.ReplaceAll(bytes.TrimPrefix(data, []byte("\uFEFF")), []byte("\r\n"), []byte("\n"))
	root, said, err := understand(name, data)
	if err != nil {
		return nil, err
	}
	l, err := scan(string(data))
	if err != nil {
		return nil, fmt.Errorf("format %s: %w", name, err)
	}
	f := &formatter{layout: l}
	f.document(root)
	out := f.write()
	// What a person wrote must not get lost, whatever way they found to write it.
	_, again, err := understand(name, out)
	if err != nil {
		return nil, fmt.Errorf("format %s: the result cannot be read: %w", name, err)
	}
	after, err := scan(string(out))
	if err != nil || !slices.EqualFunc(l.comments, after.comments, func(a, b comment) bool { return a.text == b.text }) || !slices.Equal(said, again) {
		return nil, fmt.Errorf("format %s: %w", name, errUnusual)
	}
	return out, nil
}

var errUnusual = errors.New("it is written in an unusual way that cannot be formatted without loss")

// understand parses a file of any kind. said is all that it says, in its order.
func understand(name string, data []byte) (root *yaml.Node, said []string, err error) {
	p := &parser{file: name}
	if len(data) > MaxBytes {
		p.add(RuleUnreadable, 0, 0, "", "the file is larger than %d MiB", MaxBytes>>20)
		return nil, nil, &Errors{p.faults}
	}
	var images *collection
	switch root = p.document(data, true); {
	case root == nil:
	case root.Kind == yaml.MappingNode:
		plain := slices.ContainsFunc(root.Content, func(n *yaml.Node) bool { return n.Value == "images" })
		var r registries
		r, images = p.manifest(root, plain)
		p.check(r)
		for _, list := range [][]Registry{r.sources, r.destinations} {
			for _, reg := range list {
				said = append(said, reg.Name, reg.ServiceAccount)
			}
			said = append(said, "")
		}
	default:
		images = p.images(root)
	}
	if images != nil {
		for _, i := range images.list {
			said = append(said, "image "+i.Name)
			for _, d := range i.Digests {
				said = append(said, d.Digest.String())
				for _, t := range d.Tags {
					said = append(said, t.Name)
				}
			}
		}
	}
	if errs, _ := sortFaults(p.faults); len(errs) > 0 {
		return nil, nil, &Errors{errs}
	}
	return root, said, nil
}

// formatter turns nodes into lines.
type formatter struct {
	*layout
	rows []row
}

// row is one line of the result.
type row struct {
	at      int    // the line in the source where it begins
	end     int    // the last line in the source that has something of it
	indent  int    // blanks before the text
	level   int    // the deepest indentation that a comment after it may have
	columns [4]int // of the levels 0, 2, 4 and 6 in the source; what has none is far to the right
	text    string
	tight   bool // no blank line before it
	tags    []*yaml.Node
}

const nowhere = 1 << 30

func (f *formatter) document(root *yaml.Node) {
	columns := [4]int{nowhere, nowhere, nowhere, nowhere}
	if f.marker > 0 {
		f.rows = append(f.rows, row{at: f.marker, text: "---", columns: columns})
	}
	switch {
	case root == nil:
	case root.Kind == yaml.MappingNode:
		f.pairs(root, func(k, v *yaml.Node) {
			f.key(resolve(k).Value+":", k, v, columns)
		})
	case len(root.Content) == 0:
		f.rows = append(f.rows, row{at: root.Line, text: "[]", columns: columns})
	default:
		f.entries(root, columns)
	}
}

// key is a key of the top mapping of a manifest.
func (f *formatter) key(key string, k, v *yaml.Node, columns [4]int) {
	r := row{at: k.Line, text: key, columns: columns}
	switch {
	case v.Kind == yaml.SequenceNode && len(v.Content) > 0:
		f.rows = append(f.rows, r)
		f.entries(v, columns)
		return
	case v.Kind == yaml.SequenceNode || isNullNode(v) && key != "imagesPath:":
		r.text += " []"
	case !isNullNode(v):
		r.text += " " + Bare(resolve(v).Value)
	}
	f.rows = append(f.rows, r)
}

// entries is a list of registries or images.
func (f *formatter) entries(list *yaml.Node, columns [4]int) {
	columns[0] = blockColumn(list)
	for _, e := range list.Content {
		columns[1] = blockColumn(e)
		first := true
		f.pairs(e, func(k, v *yaml.Node) {
			r := row{at: k.Line, indent: 2, level: 2, columns: columns, text: resolve(k).Value + ":", tight: true}
			if first {
				r.indent, r.text, r.tight, first = 0, "- "+r.text, false, false
			}
			switch resolve(k).Value {
			case "dmap":
				f.dmap(r, v)
				return
			case "src":
				r.text += " " + strings.ToLower(resolve(v).Value)
			default:
				r.text += " " + Bare(resolve(v).Value)
			}
			f.rows = append(f.rows, r)
		})
	}
}

func (f *formatter) dmap(r row, v *yaml.Node) {
	if len(v.Content) == 0 {
		r.text += " {}"
		f.rows = append(f.rows, r)
		return
	}
	f.rows = append(f.rows, r)
	r.columns[2] = blockColumn(v)
	first := true
	f.pairs(v, func(k, v *yaml.Node) {
		d := row{at: k.Line, indent: 4, level: 4, columns: r.columns, text: quote(resolve(k).Value) + ":", tags: v.Content, tight: first}
		d.columns[3] = blockColumn(v)
		f.rows = append(f.rows, d)
		first = false
	})
}

func (f *formatter) pairs(n *yaml.Node, yield func(k, v *yaml.Node)) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		yield(n.Content[i], n.Content[i+1])
	}
}

// blockColumn is where the items of a list or mapping in block style begin.
func blockColumn(n *yaml.Node) int {
	if n.Style&yaml.FlowStyle != 0 || len(n.Content) == 0 {
		return nowhere
	}
	return n.Column
}

// quote is for digests and tags, which need no escapes.
func quote(s string) string { return `"` + s + `"` }

// Bare writes a word, without quotes where no YAML parser can take it for anything but itself.
func Bare(s string) string {
	path := strings.TrimLeft(s, "./")
	safe := path != "" && (path[0] >= 'a' && path[0] <= 'z' || path[0] >= 'A' && path[0] <= 'Z') && s[len(s)-1] != ':'
	for i := range len(s) {
		c := s[i]
		safe = safe && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._/@:+-", c) >= 0)
	}
	if safe && plainFor(s) == "" {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b) // every JSON string is a double-quoted YAML word
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always has a form in JSON
	return strings.TrimSuffix(b.String(), "\n")
}
