package manifest

import (
	"errors"
	"testing"

	"ociproxy/internal/oci"
)

// FuzzPlain: whatever a file says, reading it ends, every fault has a place in it, and what is accepted keeps the grammar.
func FuzzPlain(f *testing.F) {
	f.Add([]byte(expand("registries: [{name: a.b/c, src: true}, {name: d.e}]\nimages:\n- name: one\n  dmap: {$A: [1.20, on, null, '1.20'], \"$B\": []}\n- name: one\n  dmap: {$A: [v1]}\n")))
	f.Add([]byte("registries:\n- &x {name: *x}\n- *x\n<<: *x\nimages: *x\n"))
	f.Add([]byte("registries: 1\nregistries: 2\nimages: [[], {}, ~, x]\n"))
	f.Add([]byte("a: 1\n---\nb: \t2\n"))
	f.Add([]byte("? [a]\n: {? b}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, err := Plain("x.yaml", data)
		var faults *Errors
		if err != nil && !errors.As(err, &faults) {
			t.Fatalf("not a list of faults: %v", err)
		}
		if faults != nil {
			for _, f := range faults.List {
				if f.Line < 1 || f.Column < 1 || f.Message == "" || f.Rule == "" || f.Warning() {
					t.Fatalf("fault %+v", f)
				}
			}
		}
		for p, i := range tree.Images() {
			if !oci.ValidName(i.Name) {
				t.Fatalf("image %q", i.Name)
			}
			tags := map[string]bool{}
			for _, d := range i.Digests {
				if !d.Digest.InStores() {
					t.Fatalf("digest %q", d.Digest)
				}
				for _, tag := range d.Tags {
					if !oci.ValidTag(tag.Name) || tags[tag.Name] {
						t.Fatalf("tag %q", tag.Name)
					}
					tags[tag.Name] = true
				}
			}
			if err == nil && (p.Source.Name == "" || len(p.Destinations) == 0) {
				t.Fatal("no error, and yet nowhere to go")
			}
		}
	})
}
