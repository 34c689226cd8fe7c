package manifest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormat(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"canonical", `# all
- name: one
  dmap:
    "$A": ["v1", "v2"]
    "$B": []
`, ``},
		{"styles", `
---
#top
-   name:    'one'
    dmap: {$A: [v1,  'v2'], "$B": []}   # both


- name: "1.20"
  dmap:
    $A:
    - '1.20'
    - !!str on    # the last
    '$B' :
      [ "1e3",
        x
      ] # end


# v2
- dmap:

      $C:
  name: two/x
`, `---
#top
- name: one
  dmap:
    "$A": ["v1", "v2"]
    "$B": []  # both

- name: "1.20"
  dmap:
    "$A": ["1.20", "on"]  # the last
    "$B": ["1e3", "x"]  # end

# v2
- dmap:
    "$C": []
  name: two/x
`},
		{"comments inside", `- name: one # the name
  dmap: # the digests

    # first
    $A: # key
    - v1 # one
    # between
    - v2
    # after

    # "$B": ["gone"]
    $B: # key alone
    - w1
    $C: [ # open
      x1, # first
      x2 ]
    # last of one
  # of the entry
# next
- name: two
  dmap: {}
  # of two
# the end
`, `- name: one  # the name
  dmap:  # the digests

    # first
    "$A":  # key
      - "v1"  # one
      # between
      - "v2"
    # after

    # "$B": ["gone"]
    "$B": ["w1"]  # key alone
    "$C":  # open
      - "x1"  # first
      - "x2"
    # last of one
  # of the entry
# next
- name: two
  dmap: {}
  # of two
# the end
`},
		{"manifest", `# owner
registries:
  # staging
  - src: True
    name: "staging.example/a"
  - {name: localhost:5000/x, service-account: a@b}   # local

imagesPath: ../images
images:
  - {name: one, dmap: {$A: [v1]}}
`, `# owner
registries:
# staging
- src: true
  name: staging.example/a
- name: localhost:5000/x
  service-account: a@b  # local

imagesPath: ../images
images:
- name: one
  dmap:
    "$A": ["v1"]
`},
		{"nothing", "\n\n# nothing yet\n\n", "# nothing yet\n"},
		{"empty", "", ""},
		{"empty list", "# none\n[ ]   # yet", "# none\n[]  # yet\n"},
		{"line ends", "- name: one\r\n  dmap: {}\t\r\n", "- name: one\n  dmap: {}\n"},
		{"quotes", "- name: one\n  dmap:\n    '$A': ['v1'] # it's \"it\" # twice\n", "- name: one\n  dmap:\n    \"$A\": [\"v1\"]  # it's \"it\" # twice\n"},
		{"anchors", "- name: &n one\n  dmap: {$A: [&t v1]}\n- name: *n\n  dmap: {$B: [ *t ]}\n", "error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, want := expand(tt.in), expand(tt.want)
			if tt.name == "canonical" {
				want = in
			}
			got, err := Format("x.yaml", []byte(in))
			if (err != nil) != (want == "error") {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			again, err := Format("x.yaml", got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(got), string(again)); diff != "" {
				t.Errorf("not stable (-once +twice)\n%s", diff)
			}
		})
	}
}

func TestFormatRefuses(t *testing.T) {
	for _, in := range []string{
		"- name: One\n  dmap: {}\n", "%YAML 1.2\n---\n[]\n", "[]\n...\n", "- name: \"o\\\n    ne\"\n  dmap: {}\n", "- nam: one\n  dmap: {}\n",
	} {
		got, err := Format("x.yaml", []byte(in))
		if err == nil {
			t.Errorf("%q becomes %q", in, got)
		}
	}
	var faults *Errors
	if _, err := Format("x.yaml", []byte("- name: One\n  dmap: {}\n")); !errors.As(err, &faults) {
		t.Errorf("%v tells no place", err)
	}
}

// TestFormatProperty writes files as carelessly as people may and wants the same to be said, by the same comments, forever.
func TestFormatProperty(t *testing.T) {
	for seed := range uint64(3000) {
		in := careless(rand.New(rand.NewPCG(seed, 1)))
		once, err := Format("x.yaml", []byte(in))
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, in)
		}
		twice, err := Format("x.yaml", once)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, once)
		}
		if string(once) != string(twice) {
			t.Fatalf("seed %d:\n%s\n(-once +twice)\n%s", seed, in, cmp.Diff(string(once), string(twice)))
		}
	}
}

// careless writes a valid images.yaml in some style.
func careless(r *rand.Rand) string {
	var b strings.Builder
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	some := func(n int) bool { return r.IntN(n) == 0 }
	comments := 0
	noise := func(columns ...int) {
		for some(3) {
			if some(2) {
				b.WriteString("\n")
				continue
			}
			comments++
			fmt.Fprintf(&b, "%s# c%d \"it's\" [%s\n", strings.Repeat(" ", columns[r.IntN(len(columns))]), comments, pick("", " ", "'x"))
		}
	}
	end := func() {
		if some(4) {
			comments++
			fmt.Fprintf(&b, "%s# t%d", pick(" ", "   "), comments)
		}
		b.WriteString(pick("\n", "\n", " \n"))
	}
	word := func(s string) string {
		if plainFor(s) != "" {
			return pick(`"`+s+`"`, "'"+s+"'")
		}
		return pick(s, `"`+s+`"`, "'"+s+"'")
	}
	tag := 0
	dash := pick("", "  ")
	for range r.IntN(4) {
		noise(0, len(dash))
		if some(5) {
			fmt.Fprintf(&b, "%s- {name: %s, dmap: {%s: [], }}", dash, word("flow"), word(digest("E")))
			end()
			continue
		}
		fmt.Fprintf(&b, "%s- name: %s", dash, word(pick("one", "two", "1.20", "sub/x")))
		end()
		noise(0, 2, len(dash)+2)
		fmt.Fprintf(&b, "%s  dmap:", dash)
		if some(5) {
			b.WriteString(" {}")
			end()
			continue
		}
		end()
		inner := dash + pick("   ", "    ", "      ")
		for n := range 1 + r.IntN(3) {
			noise(0, 2, len(inner), len(inner)+2)
			fmt.Fprintf(&b, "%s%s:", inner, word(fmt.Sprintf("sha256:%064x", r.IntN(1<<30)*4+n)))
			switch r.IntN(4) {
			case 0:
				fmt.Fprintf(&b, " [%s]", pick("", " "))
				end()
			case 1:
				tag++
				fmt.Fprintf(&b, " [%s,%s]", word(fmt.Sprintf("t%d", tag)), pick("", " ")+word(fmt.Sprintf("1.%d0", tag)))
				end()
			case 2:
				b.WriteString(" [")
				for range 1 + r.IntN(3) {
					end()
					noise(0, 5)
					tag++
					fmt.Fprintf(&b, "%s  %s,", inner, word(fmt.Sprintf("1e%d", tag)))
				}
				end()
				noise(0, 3)
				fmt.Fprintf(&b, "%s]", inner)
				end()
			default:
				end()
				dash := inner + pick("", "  ")
				for range 1 + r.IntN(3) {
					noise(0, len(dash))
					tag++
					fmt.Fprintf(&b, "%s- %s", dash, word(fmt.Sprintf("v%d", tag)))
					end()
				}
			}
		}
		noise(0, 1, len(inner))
	}
	noise(0, 2)
	return b.String()
}

func FuzzFormat(f *testing.F) {
	for seed := range uint64(20) {
		f.Add([]byte(careless(rand.New(rand.NewPCG(seed, 2)))))
	}
	f.Add([]byte(expand("# x\nregistries:\n- {name: a.b/c, src: true} # y\n- name: d.e\nimages: [{name: one, dmap: {$A: [v1]}}]\n")))
	f.Add([]byte("- name: |-\n    one\n  dmap: {}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		once, err := Format("x.yaml", in)
		if err != nil {
			return
		}
		twice, err := Format("x.yaml", once)
		if err != nil {
			t.Fatalf("%q: %v", once, err)
		}
		if string(once) != string(twice) {
			t.Fatalf("%q becomes %q", once, twice)
		}
	})
}
