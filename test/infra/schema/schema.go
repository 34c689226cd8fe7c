// Package schema knows which arguments the resources of the Terraform providers have, in the form of `tofu providers
// schema -json`. The files beside it were made by test/infra/extract from what the authors of the providers publish under
// the MPL-2.0. It has only the resources that deploy/terraform uses.
package schema

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// Files are PROVIDER/provider.json, PROVIDER/resource/NAME.json and PROVIDER/data/NAME.json. later/PROVIDER.json has what
// newer releases added.
//
//go:embed */*.json */*/*.json
var files embed.FS

// Attribute is an argument or a result of a resource.
type Attribute struct {
	Type     json.RawMessage `json:"type"` // as cty writes it: "string", ["list","string"]
	Required bool            `json:"required,omitempty"`
	Optional bool            `json:"optional,omitempty"`
	Computed bool            `json:"computed,omitempty"`
}

// Nested is a kind of block inside a block.
type Nested struct {
	Nesting string `json:"nesting_mode"` // list, set or single
	Min     int    `json:"min_items,omitempty"`
	Max     int    `json:"max_items,omitempty"`
	Block   Block  `json:"block"`
}

// Block has attributes and blocks by name.
type Block struct {
	Attributes map[string]Attribute `json:"attributes,omitempty"`
	Blocks     map[string]Nested    `json:"block_types,omitempty"`
}

// File is what a file holds.
type File struct {
	Source string `json:"source"` // where the schema was published
	Block  Block  `json:"block"`
}

// Later is what a release after the published one added to resources. Nobody publishes the whole schema of that release, so
// it is written by hand, from the place that Source names.
type Later struct {
	Source    string           `json:"source"`
	Version   string           `json:"version"` // the release that the modules need
	Resources map[string]Block `json:"resource"`
}

// Provider has the schemas of a provider.
type Provider struct {
	Source, Version string // hashicorp/aws, 6.25.0
	Config          Block
	Resources, Data map[string]Block
}

var published = regexp.MustCompile(`/providers/([^/]+/[^/]+)/([^/]+)/`)

// Load returns the schemas of the provider with that name, such as aws.
func Load(name string) (Provider, error) {
	p := Provider{Resources: map[string]Block{}, Data: map[string]Block{}}
	config, err := read(name + "/provider.json")
	if err != nil {
		return p, fmt.Errorf("provider %s: %w", name, err)
	}
	m := published.FindStringSubmatch(config.Source)
	if m == nil {
		return p, fmt.Errorf("provider %s: source %q has no version", name, config.Source)
	}
	p.Config, p.Source, p.Version = config.Block, m[1], m[2]
	for kind, blocks := range map[string]map[string]Block{"resource": p.Resources, "data": p.Data} {
		found, err := fs.Glob(files, name+"/"+kind+"/*.json")
		if err != nil {
			return p, err
		}
		for _, file := range found {
			f, err := read(file)
			if err != nil {
				return p, err
			}
			blocks[strings.TrimSuffix(path.Base(file), ".json")] = f.Block
		}
	}
	return p, later(&p, name)
}

// later adds to p what a newer release has.
func later(p *Provider, name string) error {
	text, err := files.ReadFile("later/" + name + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var l Later
	if err := json.Unmarshal(text, &l); err != nil {
		return fmt.Errorf("later/%s.json: %w", name, err)
	}
	p.Version = l.Version
	for name, more := range l.Resources {
		if b, has := p.Resources[name]; has {
			merge(&b, more)
			p.Resources[name] = b
		}
	}
	return nil
}

// merge adds the attributes and blocks of more to b.
func merge(b *Block, more Block) {
	for name, a := range more.Attributes {
		if b.Attributes == nil {
			b.Attributes = map[string]Attribute{}
		}
		b.Attributes[name] = a
	}
	for name, n := range more.Blocks {
		if b.Blocks == nil {
			b.Blocks = map[string]Nested{}
		}
		if old, has := b.Blocks[name]; has {
			merge(&old.Block, n.Block)
			n = old
		}
		b.Blocks[name] = n
	}
}

// Names returns the names of the providers.
func Names() ([]string, error) {
	found, err := fs.Glob(files, "*/provider.json")
	for i := range found {
		found[i] = path.Dir(found[i])
	}
	return found, err
}

func read(name string) (File, error) {
	var f File
	text, err := files.ReadFile(name)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}
