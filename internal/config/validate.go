package config

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/clientip"
	"ociproxy/internal/oci"
	"ociproxy/internal/place"
)

// validator holds the rules that need more than one value, or more than the value's form.
type validator struct {
	*decoder
	c        *Config
	m        *place.Map
	declared map[place.Place]bool // by `places:`, right or wrong: what refers to a wrong one is not wrong too
	names    map[string]string    // candidate → path of its name
}

// validate reports every broken rule. It also puts values into their one spelling: places by alias, URLs by slash.
func validate(d *decoder, c *Config) {
	v := &validator{decoder: d, c: c, declared: map[place.Place]bool{}, names: map[string]string{}}
	if c.Version != Version {
		v.fail("version", "begin the file with version: 1", "unknown format version %d", c.Version)
	}
	v.places()
	v.listeners()
	v.place("location", &c.Location)
	v.client()
	v.probe()
	v.limits()
	v.health()
	v.ranges()
	v.upstreams()
	v.stores()
	v.candidates()
	v.route()
	v.registryNames()
	v.endpoints()
	v.denied()
	v.log()
	v.mirror()
	v.promote()
	v.billing()
	if len(d.faults) == 0 {
		v.warnings()
	}
}

// fail reports a fault at path, or at the nearest thing around it that the file has, unless something was said there
// already: a value that could not be read breaks no further rule.
func (v *validator) fail(path, hint, format string, args ...any) {
	if e := v.at(path, hint, format, args...); e != nil {
		v.add(e)
	}
}

func (v *validator) warn(path, hint, format string, args ...any) {
	if e := v.at(path, hint, format, args...); e != nil {
		v.c.Warnings = append(v.c.Warnings, v.locate(e))
	}
}

func (v *validator) at(path, hint, format string, args ...any) *Error {
	e := &Error{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint}
	for p := path; ; p = parent(p) {
		if v.bad[p] {
			return nil
		}
		if n := v.nodes[p]; n != nil {
			if e.Line == 0 {
				e.Line, e.Column = n.Line, n.Column
			}
		}
		if p == "" {
			return e
		}
	}
}

func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}

// place reports an unknown place, and replaces an alias by the place it stands for.
func (v *validator) place(path string, p *place.Place) {
	if p.IsZero() || v.declared[*p] {
		return
	}
	if site, ok := v.m.Find(*p); ok {
		*p = site.Place
		return
	}
	sites := v.m.Sites()
	known := make([]string, 0, len(sites))
	for _, s := range sites {
		known = append(known, s.Place.String())
	}
	hint := "add it under `places:` with lat, lon and country"
	if s := Suggest(p.String(), known); s != "" {
		hint = fmt.Sprintf("did you mean %s? If not, %s", s, hint)
	}
	v.fail(path, hint, "unknown place %s", p)
}

// cloud reports a cloud without any place.
func (v *validator) cloud(path, name string, others ...string) {
	if v.knownCloud(name) {
		return
	}
	hint := "clouds: " + strings.Join(v.m.Clouds(), ", ") + "; add places of your own under `places:`"
	if s := Suggest(name, append(others, v.m.Clouds()...)); s != "" {
		hint = fmt.Sprintf("did you mean %q?", s)
	}
	v.fail(path, hint, "unknown cloud %q", shorten(name))
}

func (v *validator) knownCloud(name string) bool {
	for p := range v.declared {
		if p.Cloud == name {
			return true
		}
	}
	return v.m.HasCloud(name)
}

func (v *validator) listeners() {
	c := v.c
	v.address("listen", c.Listen)
	for i, host := range c.Admin.Hosts {
		v.host(fmt.Sprintf("admin.hosts[%d]", i), host)
	}
	if c.Admin.Docs != "" {
		v.url("admin.docs", c.Admin.Docs, urlRule{page: true})
	}
	if admin := c.Admin.Listen; admin != "" {
		v.address("admin", admin)
		if admin == c.Listen && !strings.HasSuffix(admin, ":0") {
			v.fail("admin", "give the operators' port an address of its own", "admin and listen are the same address")
		}
	}
	if c.Pages.Home != "" {
		v.url("pages.home", c.Pages.Home, urlRule{page: true})
	}
	if c.Pages.Privacy != "" {
		v.url("pages.privacy", c.Pages.Privacy, urlRule{page: true})
	}
	v.statusPage()
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		v.fail("tls", "", "cert and key belong together")
	}
}

func (v *validator) address(path, addr string) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		v.fail(path, `write ":8080" or "127.0.0.1:9090"`, "not an address to listen on: %q", shorten(addr))
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		v.fail(path, "", "port %q is not between 0 and 65535", shorten(port))
	}
}

func (v *validator) client() {
	b := v.c.Client.Behind
	const at = "client.behind"
	if _, ok := clientip.Preset(b.Preset); b.Preset != "" && !ok {
		hint := "known: " + strings.Join(clientip.Presets(), ", ") + "; or, in the file, spell it out, as for nginx, HAProxy or Traefik: {header: X-Forwarded-For, entry: 1, trusted: […]}"
		if s := Suggest(b.Preset, clientip.Presets()); s != "" {
			hint = fmt.Sprintf("did you mean %q?", s)
		}
		v.fail(at, hint, "unknown front %q", shorten(b.Preset))
		return
	}
	for _, err := range split(v.c.Client.Rule().Validate()) {
		v.fail(at, "", "%v", err)
	}
}

// split takes joined errors apart.
func split(err error) []error {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		return many.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// relayTimes is what a relayed tag list may take: 5 s of a near upstream, then 5 s of the canonical one.
const relayTimes = 10 * time.Second

// maxRecords bounds the keys that count records of inventories: their numbers in the table have four bytes.
const maxRecords = 2_000_000_000

func (v *validator) limits() {
	if _, set := v.nodes["limits.idleTimeout"]; !set && v.c.Client.Rule().Header != "" {
		v.c.Limits.IdleTimeout = sharedIdle // a header tells clients apart: their requests share connections
	}
	if _, set := v.nodes["limits.storeRecords"]; !set && v.c.Ranges.Cache != "" {
		v.c.Limits.StoreRecords = diskRecords
	}
	if _, set := v.nodes["limits.digests"]; !set {
		v.c.Limits.Digests = 2 * v.c.Limits.StoreRecords
	}
	l := v.c.Limits
	for key, n := range map[string]int{"storeRecords": l.StoreRecords, "digests": l.Digests} {
		if n < 1 || n > maxRecords {
			v.fail("limits."+key, "", "%s must be between 1 and %d", key, maxRecords)
		}
	}
	for key, d := range map[string]time.Duration{
		"readHeaderTimeout": l.ReadHeaderTimeout, "readTimeout": l.ReadTimeout, "idleTimeout": l.IdleTimeout, "checkTimeout": l.CheckTimeout,
	} {
		if d <= 0 {
			v.fail("limits."+key, "", "%s must be longer than 0", key)
		}
	}
	if l.WriteTimeout <= relayTimes {
		v.fail("limits.writeTimeout", "", "writeTimeout must be longer than %s, the time a relayed tag list may take", formatDuration(relayTimes))
	}
	if l.CheckTimeout > 5*time.Second {
		v.fail("limits.checkTimeout", "a client waits for it", "checkTimeout must be at most 5s")
	}
	if l.MaxConnections < 0 {
		v.fail("limits.maxConnections", "", "maxConnections is negative")
	}
	if l.HeaderBytes < 4<<10 || l.HeaderBytes > 1<<20 {
		v.fail("limits.headerBytes", "", "headerBytes must be between 4096 and 1048576")
	}
	if l.MaxStreams < 1 || l.MaxStreams > 10_000 {
		v.fail("limits.maxStreams", "", "maxStreams must be between 1 and 10000")
	}
}

func (v *validator) health() {
	h := v.c.Health
	if h.Interval < 100*time.Millisecond {
		v.fail("health.interval", "30s finds a dead store in about half a minute, and any failed check or relay at once", "interval must be at least 100ms")
	}
	if h.IdleInterval < h.Interval {
		v.fail("health.idleInterval", "", "idleInterval must not be shorter than interval")
	}
	if h.Timeout <= 0 || h.Timeout > time.Minute {
		v.fail("health.timeout", "", "timeout must be longer than 0 and at most 1m")
	}
}

func (v *validator) denied() {
	for i, name := range v.c.Deny.Repositories {
		v.repository(fmt.Sprintf("deny.repositories[%d]", i), name)
	}
}

func (v *validator) repository(path, name string) {
	if !oci.ValidName(name) {
		v.fail(path, "lower-case letters and digits, separated by . _ - and /", "not a repository name: %q", shorten(name))
	}
}

func (v *validator) log() {
	if r := v.c.Log.Requests; r < 0 || r > 1 {
		hint := "0.01 is one request of a hundred"
		v.fail("log.requests", hint, "requests is a share between 0 and 1")
	}
}

// suggestion is a hint for a name that is not one of the known.
func suggestion(name string, known []string, what string) string {
	if s := Suggest(name, known); s != "" {
		return fmt.Sprintf("did you mean %q?", s)
	}
	if len(known) == 0 {
		return "there are no " + what
	}
	if len(known) > 12 {
		return fmt.Sprintf("%s: %s and %d more", what, strings.Join(known[:12], ", "), len(known)-12)
	}
	return what + ": " + strings.Join(known, ", ")
}
