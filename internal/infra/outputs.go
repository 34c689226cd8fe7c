package infra

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/store/address"
)

// Created is a store as a module has created it: one entry of its output `stores`.
type Created struct {
	Name      string `json:"-"`
	Bucket    string `json:"bucket"`
	Container string `json:"container"`  // on Azure
	BucketURL string `json:"bucket_url"` // as the config spells it; derived where a module does not say it
	Region    string `json:"region"`
	Place     string `json:"place"`
	CDN       string `json:"cdn"`
	URL       string `json:"url"`
	Inventory string `json:"inventory_url"`
	ARN       string `json:"arn"`
	Owner     string `json:"owner"`
}

// ParseOutputs reads what `tofu output -json` prints: the outputs `stores`, and those whose names end in `_stores`. The
// value of each is a map of stores by name, or of such maps by account. It returns the stores, sorted by name.
func ParseOutputs(text []byte) ([]Created, error) {
	var outputs map[string]struct {
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(text, &outputs); err != nil {
		return nil, fmt.Errorf("not the JSON of tofu output -json: %w", err)
	}
	all, found := map[string]Created{}, false
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		if name != "stores" && !strings.HasSuffix(name, "_stores") {
			continue
		}
		found = true
		if err := stores(outputs[name].Value, all, 2); err != nil {
			return nil, fmt.Errorf("output %s: %w", name, err)
		}
	}
	if !found {
		return nil, fmt.Errorf("no output is named stores; there are %s", cmp.Or(strings.Join(slices.Sorted(maps.Keys(outputs)), ", "), "none"))
	}
	var out []Created
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out, nil
}

// stores collects the stores of a value that has maps in at most this many levels.
func stores(value json.RawMessage, all map[string]Created, levels int) error {
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(value, &entries); err != nil || entries == nil {
		return errors.New("the value is no map")
	}
	for name, entry := range entries {
		var c Created
		if err := json.Unmarshal(entry, &c); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if c.URL == "" && c.Bucket == "" && levels > 1 {
			if err := stores(entry, all, levels-1); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		if err := c.complete(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		c.Name = name
		if other, twice := all[name]; twice && other != c {
			return fmt.Errorf("%s is there twice, with different values", name)
		}
		all[name] = c
	}
	return nil
}

// complete derives what a module does not say.
func (c *Created) complete() error {
	if c.URL == "" || c.Bucket == "" {
		return errors.New("it has no url or no bucket: is it an output of a module in deploy/terraform?")
	}
	amazon := strings.HasPrefix(c.ARN, "arn:")
	if c.BucketURL == "" {
		if !amazon {
			return errors.New("it has no bucket_url")
		}
		c.BucketURL = "s3://" + c.Bucket + "?region=" + c.Region
	}
	if _, err := address.Parse(c.BucketURL); err != nil {
		return err
	}
	if _, direct := address.OfURL(c.URL); amazon && !direct && !strings.HasPrefix(hostOf(c.URL), c.Bucket+".s3.") { // not in a partition of its own
		c.CDN = cmp.Or(c.CDN, "cloudfront")
	}
	if amazon && c.CDN == "" {
		c.Place = cmp.Or(c.Place, "aws/"+c.Region)
	}
	if strings.HasPrefix(c.BucketURL, "s3://") && !amazon {
		c.Owner = "" // the config's owner of an S3 bucket is an account of Amazon
	}
	return nil
}

// Stanza returns the text of a stanza for a new store, in block style. It gets no traffic before it is filled. Who it
// serves is a choice of the person who pays: the stanza has the store's own cloud, or the internet for a CDN.
func (c *Created) Stanza() string {
	serves := "[internet]"
	if cloud, _, ok := strings.Cut(c.Place, "/"); ok && c.CDN == "" {
		serves = "[" + cloud + "]"
	}
	var b strings.Builder
	for _, kv := range [][2]string{
		{"name", c.Name}, {"place", c.Place}, {"cdn", c.CDN}, {"url", c.URL}, {"inventory", c.Inventory}, {"bucket", c.BucketURL}, {"owner", c.Owner},
	} {
		switch key, value := kv[0], kv[1]; {
		case value == "":
		case key == "inventory":
			fmt.Fprintf(&b, "inventory: {url: %s}\n", quoted(value))
		case key == "place" || key == "cdn":
			fmt.Fprintf(&b, "%s: %s\n", key, plainOr(value))
		case key == "name":
			fmt.Fprintf(&b, "name: %s\n", plainOr(value))
		default:
			fmt.Fprintf(&b, "%s: %s\n", key, quoted(value))
		}
	}
	fmt.Fprintf(&b, "serves: %s\nstate: filling\n", serves)
	return b.String()
}

// quoted returns a text in double quotes. JSON's escapes are YAML's.
func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can always be encoded
	}
	return strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(string(b))
}

// plainOr returns a word without quotes where YAML takes it for a text, otherwise with them.
func plainOr(text string) string {
	if len(text) < 1 || text[0] < 'a' || text[0] > 'z' || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789./-_") != "" ||
		slices.Contains([]string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}, text) {
		return quoted(text)
	}
	return text
}

// Mismatch is a value of the config that differs from what a module has created.
type Mismatch struct {
	Store  string `json:"store"`
	Key    string `json:"key"`
	Config string `json:"config"`
	Output string `json:"output"`
}

// Match compares created stores with those of a config. It returns the stores that the config does not have, and the
// differences of the others. A bucket that the config has under another name counts as a difference of the name.
func Match(cfg *config.Config, created []Created) (fresh []Created, differ []Mismatch) {
	for _, c := range created {
		i := slices.IndexFunc(cfg.Stores, func(s config.Store) bool { return s.Name == c.Name })
		if i < 0 {
			if i = slices.IndexFunc(cfg.Stores, func(s config.Store) bool { return sameBucket(s.Bucket, c.BucketURL) }); i >= 0 {
				differ = append(differ, Mismatch{cfg.Stores[i].Name, "name", cfg.Stores[i].Name, c.Name})
				continue
			}
			fresh = append(fresh, c)
			continue
		}
		s := &cfg.Stores[i]
		for _, v := range []struct {
			key, is, want string
			same          bool
		}{
			{"place", s.Place.String(), c.Place, c.CDN != ""},
			{"cdn", s.CDN, c.CDN, false},
			{"url", s.URL, c.URL, false},
			{"inventory.url", s.Inventory.URL, c.Inventory, s.Inventory.URL == ""}, // the config may do without
			{"bucket", s.Bucket, c.BucketURL, sameBucket(s.Bucket, c.BucketURL)},
			{"owner", s.Owner, c.Owner, s.Owner == "" || c.Owner == ""},
		} {
			if v.is != v.want && !v.same {
				differ = append(differ, Mismatch{s.Name, v.key, v.is, v.want})
			}
		}
	}
	return fresh, differ
}

// sameBucket reports whether two URLs name one bucket, whatever the order of their parameters.
func sameBucket(a, b string) bool {
	x, errX := address.Parse(a)
	y, errY := address.Parse(b)
	return errX == nil && errY == nil && x.Scheme == y.Scheme && x.Name == y.Name && x.Container == y.Container && x.Prefix == y.Prefix &&
		x.Endpoint == y.Endpoint && x.Region == y.Region
}

// Neighbour returns the store behind which a new store of a cloud or CDN belongs: the last one of the same. "" means
// the end of the list.
func Neighbour(cfg *config.Config, cloud, cdn string) string {
	for i := len(cfg.Stores) - 1; i >= 0; i-- {
		if s := &cfg.Stores[i]; s.CDN == cdn && (cdn != "" || s.Place.Cloud == cloud) {
			return s.Name
		}
	}
	return ""
}
