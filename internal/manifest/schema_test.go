package manifest

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/docs"
	"ociproxy/internal/oci"
)

// TestSchema: the schema for editors knows the keys and the words that the parser knows.
func TestSchema(t *testing.T) {
	var schema struct {
		Defs map[string]struct {
			Properties map[string]struct {
				Pattern           string
				PatternProperties map[string]any
			}
			Items struct{ Pattern string }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(docs.PromotionSchema, &schema); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for name, def := range schema.Defs {
		if len(def.Properties) > 0 {
			got[name] = slices.Sorted(maps.Keys(def.Properties))
		}
	}
	want := map[string][]string{
		"Thin": {"imagesPath", "registries"}, "Plain": {"images", "imagesPath", "registries"},
		"Registry": {"name", "service-account", "src"}, "Image": {"dmap", "name"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got)\n%s", diff)
	}
	digestPattern := slices.Collect(maps.Keys(schema.Defs["Image"].Properties["dmap"].PatternProperties))[0]
	for _, tt := range []struct {
		pattern string
		valid   func(string) bool
		words   []string
	}{
		{schema.Defs["Registry"].Properties["name"].Pattern, func(s string) bool { _, err := checkRegistry(s); return err == nil },
			[]string{"a.b", "a.b/c", "a.b:5000/c/d", "[::1]:5000/x", "https://a.b", "a.b/", "a.b/C", "localhost/x", "a.b/c__d"}},
		{schema.Defs["Image"].Properties["name"].Pattern, oci.ValidName, []string{"a", "a/b", "a--b", "A", "a//b", "a_b", "a___b", "-a", ""}},
		{digestPattern, func(s string) bool { _, _, err := checkDigest(s); return err == nil }, []string{digest("A"), "sha256:ab", digest("A") + "a", "sha512:" + digest("B")[7:] + digest("C")[7:], "md5:x"}},
		{schema.Defs["Tags"].Items.Pattern, oci.ValidTag, []string{"v1", "1.20", "-x", ".x", "_x", "a b", ""}},
	} {
		re := regexp.MustCompile(tt.pattern)
		for _, w := range tt.words {
			if re.MatchString(w) != tt.valid(w) {
				t.Errorf("%q: the schema says %v, the parser %v", w, re.MatchString(w), tt.valid(w))
			}
		}
	}
}
