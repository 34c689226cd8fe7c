package infra

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ociproxy/test/parts"
)

// TestRights: the roles of the modules have the rights of deploy/permissions, and the right to delete is apart.
func TestRights(t *testing.T) {
	for module, c := range map[string]struct{ file, right, apart string }{
		"gcp-stores":   {"gcs-role.yaml", `storage\.[a-z]+\.[a-z]+`, "storage.objects.delete"},
		"azure-stores": {"azure-role.json", `blobs/[a-z]+"`, `blobs/delete"`},
	} {
		rights := func(elem ...string) []string {
			text, err := os.ReadFile(filepath.Join(append([]string{parts.Root(), "deploy"}, elem...)...))
			if err != nil {
				t.Fatal(err)
			}
			found := regexp.MustCompile(c.right).FindAllString(strings.ReplaceAll(string(text), "blobs}", "blobs"), -1)
			slices.Sort(found)
			return slices.Compact(found)
		}
		file := strings.Join(rights("permissions", c.file), " ")
		module := strings.Join(rights("terraform", module, "writer.tf"), " ")
		if file != module || !strings.Contains(file, c.apart) {
			t.Errorf("%s has %s, the module %s", c.file, file, module)
		}
	}
}
