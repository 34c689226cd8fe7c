// Command extract writes the schemas of the provider resources that deploy/terraform uses into test/infra/schema.
//
//	npm install --prefix DIR @cdktf/provider-aws@21.22.1 @cdktf/provider-google@16.12.1 @cdktf/provider-azurerm@14.23.1 \
//	    @cdktf/provider-cloudflare@13.9.1
//	go run ./infra/extract DIR
//
// Those packages were generated from the schemas of the providers, and hold every argument with its type. Nothing of them
// runs. Run it in the module of the tests.
package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// packages are the names of the providers, and which packages publish their schemas.
var packages = map[string]string{
	"aws": "provider-aws", "azurerm": "provider-azurerm", "cloudflare": "provider-cloudflare", "google": "provider-google",
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: extract DIR (where npm installed the packages)")
		os.Exit(2) //nolint:forbidigo // this is a main
	}
	if err := run(filepath.Join(os.Args[1], "node_modules", "@cdktf"), "../deploy/terraform", "infra/schema"); err != nil {
		fmt.Fprintf(os.Stderr, "extract: %v\n", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

func run(npm, modules, out string) error {
	used, err := usedIn(modules)
	if err != nil {
		return err
	}
	for provider, name := range packages {
		if err := os.RemoveAll(filepath.Join(out, provider)); err != nil {
			return err
		}
		dir := filepath.Join(npm, name, "lib")
		if len(used[provider]) == 0 {
			continue
		}
		if err := extract(filepath.Join(dir, "provider"), filepath.Join(out, provider, "provider.json")); err != nil {
			return err
		}
		for _, u := range used[provider] {
			folder := strings.ReplaceAll(strings.TrimPrefix(u.name, provider+"_"), "_", "-")
			if u.kind == "data" {
				folder = "data-" + strings.ReplaceAll(u.name, "_", "-")
			}
			file := filepath.Join(out, provider, u.kind, u.name+".json")
			if err := extract(filepath.Join(dir, folder), file); err != nil {
				return fmt.Errorf("%s %s: %w", u.kind, u.name, err)
			}
		}
	}
	return nil
}

// use is a resource or data source that a module has.
type use struct{ kind, name string }

var resource = regexp.MustCompile(`(?m)^\s*(resource|data)\s+"([a-z0-9]+)(_[a-z0-9_]+)"`)

// usedIn returns what the modules below dir use, by provider.
func usedIn(dir string) (map[string][]use, error) {
	used := map[string][]use{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".tf" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range resource.FindAllStringSubmatch(string(text), -1) {
			u := use{m[1], m[2] + m[3]}
			if !slices.Contains(used[m[2]], u) {
				used[m[2]] = append(used[m[2]], u)
			}
		}
		return nil
	})
	return used, err
}

// extract writes the schema of the class in the directory.
func extract(dir, out string) error {
	text, err := typescript(filepath.Join(dir, "index.js"))
	if err != nil {
		return err
	}
	f, err := parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	enc, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(enc, '\n'), 0o644)
}

// typescript returns the source that the file was compiled from. The file ends with it, in a source map in base64.
func typescript(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	_, encoded, found := strings.Cut(string(text), "sourceMappingURL=data:application/json;base64,")
	if !found {
		return "", fmt.Errorf("%s has no source map", file)
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	var m struct {
		SourcesContent []string `json:"sourcesContent"`
	}
	if err := json.Unmarshal(decoded, &m); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	if len(m.SourcesContent) != 1 {
		return "", errors.New("the source map has not one source")
	}
	return m.SourcesContent[0], nil
}
