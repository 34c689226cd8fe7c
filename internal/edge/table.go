package edge

import (
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/endpoints"
)

// Audience says who needs a route.
type Audience string

// These are the audiences.
const (
	Clients  Audience = "clients"  // whoever pulls, on the internet
	Platform Audience = "platform" // what starts and checks instances from inside: Kubernetes, Cloud Run, a load balancer
)

// Route is one kind of path that the server, or a store, answers.
type Route struct {
	Name    string   `json:"name"`
	Path    string   `json:"path"`    // for people
	Pattern string   `json:"pattern"` // the whole escaped path, as a regular expression that RE2, PCRE and JavaScript read alike
	For     Audience `json:"for"`
	Setting string   `json:"setting,omitempty"` // the key of the config that opens it; "" means that it is always open
}

// Page is a path outside the registry API that the server answers itself.
type Page uint8

// These are the pages.
const (
	NoPage Page = iota
	Home
	Privacy
	Status
	EndpointsList
	EndpointsFeed
	EndpointsSigned
	Whoami
	Live
	Ready
)

// pages are all pages. The server finds a page here, so one that is missing is not served.
var pages = []struct {
	page Page
	Route
	open func(*config.Config) bool // nil: always
}{
	{Home, Route{Name: "home", Path: "/", For: Clients, Setting: "pages.home"}, func(c *config.Config) bool { return c.Pages.Home != "" }},
	{Privacy, Route{Name: "privacy", Path: "/privacy", For: Clients, Setting: "pages.privacy"}, func(c *config.Config) bool { return c.Pages.Privacy != "" }},
	{Status, Route{Name: "status", Path: "/-/status", For: Clients, Setting: "pages.status"}, func(c *config.Config) bool { return c.Pages.Status != "" }},
	{EndpointsList, Route{Name: "endpoints", Path: endpoints.Path, For: Clients}, nil},
	{EndpointsFeed, Route{Name: "endpoints feed", Path: endpoints.AtomPath, For: Clients}, nil},
	{EndpointsSigned, Route{Name: "endpoints signed", Path: endpoints.SignedPath, For: Clients, Setting: "endpoints.signed"}, func(c *config.Config) bool { return c.Endpoints.Signed != "" }},
	{Whoami, Route{Name: "whoami", Path: "/-/whoami", For: Clients, Setting: "client.whoami"}, func(c *config.Config) bool { return c.Client.Whoami }},
	{Live, Route{Name: "live", Path: "/-/live", For: Platform}, nil},
	{Ready, Route{Name: "ready", Path: "/-/ready", For: Platform}, nil},
}

// PageAt returns the page at an escaped path. People add a slash, so a path with one more at its end is the same page.
func PageAt(path string) Page {
	if page, ok := strings.CutSuffix(path, "/"); ok && len(page) > 1 {
		path = page
	}
	for i := range pages {
		if pages[i].Path == path {
			return pages[i].page
		}
	}
	return NoPage
}

// Server returns the routes of the public port. With a config, they are those that it opens; without one (nil), those
// that any config could open.
func Server(cfg *config.Config) []Route {
	list := registry()
	for _, p := range pages {
		if cfg != nil && p.open != nil && !p.open(cfg) {
			continue
		}
		r := p.Route
		r.Pattern = quote(r.Path)
		if r.Path != "/" {
			r.Pattern += "/?"
		}
		list = append(list, r)
	}
	return list
}

// Only returns the routes for one audience.
func Only(routes []Route, audience Audience) (list []Route) {
	for _, r := range routes {
		if r.For == audience {
			list = append(list, r)
		}
	}
	return list
}
