package demo

import (
	_ "embed"
	"path/filepath"
	"strings"
	"text/template"
)

// sampleAddress is the address that the printed commands use: the address of
// the scenario's first client.
const (
	sampleAddress = "192.0.2.7"
	samplePlace   = "aws/us-east-1"
)

var (
	//go:embed guide.txt.tmpl
	guideText     string
	guideTemplate = template.Must(template.New("guide").Parse(guideText))
)

// guide says what to try. As JSON, it is the first document that a serving demo
// writes.
type guide struct {
	Proxy string `json:"proxy"` // http://127.0.0.1:5050
	Front string `json:"front"` // the same, through a hop that appends the client's real address
	Admin string `json:"admin"` // metrics, explain
	// Console is the address of the console, for a browser.
	Console string `json:"console"`
	Config  string `json:"config"` // path of the config file
	Key     string `json:"key"`    // path of the private key for probes; "" when published
	Hosts   string `json:"hosts"`  // for containerd's --hosts-dir
	Image   string `json:"image"`  // 127.0.0.1:5050/sample/app:1.0
	Digest  string `json:"digest"` // of the image
	Layer   string `json:"layer"`  // path of a layer
	// Places are addresses that the user can put into X-Forwarded-For.
	Places []guidePlace `json:"places"`

	Name        string `json:"-"` // host:port of the proxy
	Repository  string `json:"-"` // and tag
	Published   bool   `json:"-"`
	Idle        bool   `json:"-"` // the demo pulls nothing by itself
	Typed       bool   `json:"-"` // somebody can type names of stores
	Stores      string `json:"-"`
	Sample      string `json:"-"`
	SamplePlace string `json:"-"`
	SampleStore string `json:"-"`
}

type guidePlace struct {
	Address string `json:"address"`
	Place   string `json:"place"` // "" for unknown
	Where   string `json:"-"`
}

func (d *demo) guide(opt Options) *guide {
	img := d.world.image
	g := &guide{
		Proxy: d.url(d.public), Front: d.url(d.front), Admin: d.url(d.admin),
		Config: d.config, Hosts: d.hosts, Name: d.public.Addr().String(), Repository: imageName + ":" + imageTag,
		Image:     d.public.Addr().String() + "/" + imageName + ":" + imageTag,
		Digest:    img.index,
		Layer:     blobPath(img.platforms["linux/amd64"].blobs[missingInSingapore]),
		Console:   d.url(d.admin) + "/",
		Published: d.published, Idle: opt.Idle, Typed: opt.Stdin != nil, Stores: strings.Join(Stores(), ", "),
		Sample: sampleAddress, SamplePlace: samplePlace, SampleStore: nodeVirginia,
	}
	if !d.published {
		g.Key = filepath.Join(d.dir, keyFile)
	}
	for _, c := range clients() {
		if c.Claims != "" {
			continue
		}
		p := guidePlace{Address: c.Address, Place: c.Place, Where: c.Place}
		if p.Where == "" {
			p.Where = "unknown: no feed lists it"
		}
		g.Places = append(g.Places, p)
	}
	return g
}
