package config

import (
	"net/url"
	"strings"
)

// OwnHosts returns the hosts on which this registry depends, without ports, in lower case: its names, its upstreams,
// and whatever serves its stores and their inventories. The value says what the host is, for messages.
func (c *Config) OwnHosts() map[string]string {
	own := map[string]string{}
	add := func(what, text string) {
		if u, err := url.Parse(text); err == nil && u.Host != "" {
			text = u.Hostname()
		}
		if host := plainHost(text); host != "" && own[host] == "" {
			own[host] = what
		}
	}
	for _, n := range c.Names {
		for _, host := range n.Hosts {
			add("a name of this registry", host)
		}
	}
	for i := range c.Upstreams {
		add("the host of the upstream "+c.Upstreams[i].Name, c.Upstreams[i].URL)
	}
	for i := range c.Stores {
		s := &c.Stores[i]
		what := "a host of the store " + s.Name
		for _, text := range []string{s.URL, s.Check, s.Inventory.URL} {
			if text != "" {
				add(what, strings.ReplaceAll(text, digestMark, ""))
			}
		}
	}
	return own
}

// OwnHost returns what the host of a URL is to this registry; "": nothing.
func (c *Config) OwnHost(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return c.OwnHosts()[plainHost(u.Hostname())]
}

// plainHost returns a host in the one spelling in which hosts are compared.
func plainHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// statusPage refuses a public status that falls with the registry.
func (v *validator) statusPage() {
	const at = "pages.status"
	text := v.c.Pages.Status
	if text == "" || v.url(at, text, urlRule{page: true}) == nil {
		return
	}
	if what := v.c.OwnHost(text); what != "" {
		v.fail(at, "use another name, at another provider: docs/public-status.md", "the host is %s: a status page there falls with the registry", what)
	}
}
