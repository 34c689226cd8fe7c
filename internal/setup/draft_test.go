package setup

import (
	"bytes"
	"errors"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
)

// answers are what the flags of init have.
type answers struct {
	location                             string
	registries, buckets, clients, images []string
	front, listen                        string
}

// give puts a into a new draft, in the order of the command.
func (a answers) give() (*Draft, error) {
	d := New("/var/cache/oci-proxy")
	type step struct {
		set    func(string) error
		values []string
	}
	one := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	for _, s := range []step{
		{d.SetLocation, one(a.location)}, {d.AddRegistry, a.registries}, {d.AddBucket, a.buckets},
		{d.AddClients, a.clients}, {d.AddImage, a.images}, {d.SetFront, one(a.front)}, {d.SetListen, one(a.listen)},
	} {
		for _, v := range s.values {
			if err := s.set(v); err != nil {
				return d, err
			}
		}
	}
	return d, nil
}

func parsed(t *testing.T, d *Draft) *config.Config {
	t.Helper()
	text, err := d.Render()
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) && len(bytes.TrimRight(line, "\n")) > 100 {
			t.Errorf("a comment is wider than 100 columns: %s", line)
		}
	}
	if bytes.Contains(text, []byte("\n\n\n")) || !bytes.HasSuffix(text, []byte("\n")) || bytes.HasSuffix(text, []byte("\n\n")) {
		t.Errorf("blank lines:\n%s", text)
	}
	c, err := config.Parse("c", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

// digest of a config: what follows from the answers, in one line each.
func digest(c *config.Config) []string {
	out := []string{"at " + c.Location.String(), "behind " + c.Client.Behind.Preset, "listen " + c.Listen + " " + c.Admin.Listen}
	for _, f := range c.Ranges.Feeds {
		out = append(out, "feed "+string(f.Provider)+f.Cloud)
	}
	for _, o := range c.Ranges.Overrides {
		out = append(out, "network "+o.CIDR.String()+" "+o.Place.String())
	}
	for _, u := range c.Upstreams {
		line := "upstream " + u.Name + " " + u.URL + " " + u.Prefix + " " + u.Place.String() + " " + strings.Join(u.Families.Names(), "+")
		if u.Insecure {
			line += " insecure"
		}
		if u.Canonical {
			line += " canonical"
		}
		out = append(out, line)
	}
	for _, s := range c.Stores {
		line := "store " + s.Name + " " + s.URL + " " + s.Inventory.URL + " " + s.Bucket + " " + s.Place.String() + " for " +
			s.Serves.String() + " " + string(s.State) + " " + strings.Join(s.Families.Names(), "+")
		if s.Insecure {
			line += " insecure"
		}
		out = append(out, line)
	}
	if c.Mirror.Enabled() {
		out = append(out, "mirror "+c.Mirror.Source+" "+strings.Join(c.Mirror.Repositories.List, " "))
	}
	for _, w := range c.Warnings {
		out = append(out, "warning "+w.Message)
	}
	return out
}

func TestDraft(t *testing.T) {
	const host = "https://b-1.s3.dualstack.us-east-1.amazonaws.com/"
	for name, tt := range map[string]struct {
		answers
		want []string
	}{
		"one cloud": {answers{location: "aws/us-east-1", registries: []string{"https://r.example.org"},
			buckets: []string{"s3://b-1?region=us-east-1"}, images: []string{"team/app:1", "team/app:2", "pause"}},
			[]string{"at aws/us-east-1", "behind direct", "listen :8080 127.0.0.1:9090", "feed aws",
				"upstream main https://r.example.org  aws/us-east-1 ipv4+ipv6 canonical",
				"store s3-us-east-1 " + host + "containers/images/{digest} " + host + "inventory/ s3://b-1?region=us-east-1 aws/us-east-1 for aws filling ipv4+ipv6",
				"mirror main team/app pause"}},
		"only a registry": {answers{location: "gcp/us-central1", registries: []string{"https://us-docker.pkg.dev/project/images/"}, front: "google-lb", images: []string{"app"}},
			[]string{"at gcp/us-central1", "behind google-lb", "listen :8080 127.0.0.1:9090", "feed gcp",
				"upstream main https://us-docker.pkg.dev project/images gcp/us-central1 ipv4+ipv6 canonical"}},
		"the host says where": {answers{location: "aws/us-east-1", registries: []string{"https://europe-west1-docker.pkg.dev/p/i"}},
			[]string{"at aws/us-east-1", "behind direct", "listen :8080 127.0.0.1:9090", "feed aws", "feed gcp",
				"upstream main https://europe-west1-docker.pkg.dev p/i gcp/europe-west1 ipv4+ipv6 canonical"}},
		"a data centre": {answers{location: "onprem/berlin@52.5,13.4,DE", registries: []string{"http://10.1.2.3:5000/library"}, listen: "127.0.0.1:9090",
			buckets: []string{"s3://layers?region=x&endpoint=http://10.1.2.4:9000&pathStyle=true", "s3://b-1?region=us-east-1@onprem/hamburg@53.6,10,DE"},
			clients: []string{"10.20.0.0/16=onprem/berlin", "10.21.0.0/16=onprem/hamburg"}},
			[]string{"at onprem/berlin", "behind direct", "listen 127.0.0.1:9090 127.0.0.1:9091",
				"network 10.20.0.0/16 onprem/berlin", "network 10.21.0.0/16 onprem/hamburg",
				"upstream main http://10.1.2.3:5000 library onprem/berlin ipv4 insecure canonical",
				"store s3-berlin http://10.1.2.4:9000/layers/containers/images/{digest} http://10.1.2.4:9000/layers/inventory/ s3://layers?region=x&endpoint=http://10.1.2.4:9000&pathStyle=true onprem/berlin for onprem filling ipv4 insecure",
				"store s3-hamburg " + host + "containers/images/{digest} " + host + "inventory/ s3://b-1?region=us-east-1 onprem/hamburg for onprem filling ipv4+ipv6",
				"warning the host is in aws/us-east-1, the place is onprem/hamburg"}},
		"private networks": {answers{location: "onprem/berlin@52.5,13.4", registries: []string{"https://r.example.org"}},
			[]string{"at onprem/berlin", "behind direct", "listen :8080 127.0.0.1:9090",
				"network 10.0.0.0/8 onprem/berlin", "network 172.16.0.0/12 onprem/berlin", "network 192.168.0.0/16 onprem/berlin",
				"network 127.0.0.0/8 onprem/berlin", "network fc00::/7 onprem/berlin", "network ::1/128 onprem/berlin",
				"upstream main https://r.example.org  onprem/berlin ipv4+ipv6 canonical"}},
		"two in a region, and Azure": {answers{location: "azure/westeurope", registries: []string{"https://r.example.org", "https://s.example.org@azure/northeurope"},
			buckets: []string{"azblob://acc/one", "azblob://acc/two"}},
			[]string{"at azure/westeurope", "behind direct", "listen :8080 127.0.0.1:9090",
				"upstream main https://r.example.org  azure/westeurope ipv4+ipv6 canonical",
				"upstream replica-northeurope https://s.example.org  azure/northeurope ipv4+ipv6",
				"store azure-westeurope https://acc.blob.core.windows.net/one/containers/images/{digest} https://acc.blob.core.windows.net/one/inventory/ azblob://acc/one azure/westeurope for azure filling ipv4",
				"store azure-westeurope-2 https://acc.blob.core.windows.net/two/containers/images/{digest} https://acc.blob.core.windows.net/two/inventory/ azblob://acc/two azure/westeurope for azure filling ipv4",
				"warning no feed and no override says which clients are in azure"}},
		"words that YAML reads otherwise": {answers{location: "no/on@-0.5,1e-3,NO", registries: []string{"http://[::1]:5000/null"}, listen: "[::]:1",
			buckets: []string{"s3://b-1/a,b?region=us-east-1@yes/no@1,2"}, clients: []string{"::/0=no/on", "10.0.0.0/8=yes/no"}, images: []string{"true", "1"}},
			[]string{"at no/on", "behind direct", "listen [::]:1 127.0.0.1:9090", "network ::/0 no/on", "network 10.0.0.0/8 yes/no",
				"upstream main http://[::1]:5000 null no/on ipv6 insecure canonical",
				"store s3-no " + host + "a,b/containers/images/{digest} " + host + "a,b/inventory/ s3://b-1/a,b?region=us-east-1 yes/no for yes filling ipv4+ipv6",
				"mirror main true 1", "warning the host is in aws/us-east-1, the place is yes/no"}},
		"a bucket elsewhere": {answers{location: "gcp/us-central1", registries: []string{"https://r.example.org"}, buckets: []string{"gs://b", "s3://b-1?region=us-east-1"}},
			[]string{"at gcp/us-central1", "behind direct", "listen :8080 127.0.0.1:9090", "feed gcp", "feed aws",
				"upstream main https://r.example.org  gcp/us-central1 ipv4+ipv6 canonical",
				"store gcs-us-central1 https://storage.googleapis.com/b/containers/images/{digest} https://storage.googleapis.com/b/inventory/ gs://b gcp/us-central1 for gcp filling ipv4+ipv6",
				"store s3-us-east-1 " + host + "containers/images/{digest} " + host + "inventory/ s3://b-1?region=us-east-1 aws/us-east-1 for aws filling ipv4+ipv6"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := tt.give()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, digest(parsed(t, d))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// Each wrong answer has its reason and a remedy, leaves the draft as it was, and no message tells a secret.
func TestWrongAnswers(t *testing.T) {
	for _, tt := range []struct {
		flag, answer, reason, hint string
	}{
		{"location", "", "the answer is empty", ""},
		{"location", "Berlin", "want cloud/region", "onprem/berlin@52.5,13.4"},
		{"location", "aws/us-east-11", "no place aws/us-east-11", "did you mean aws/us-east-1?"},
		{"location", "onprem/berlin", "no place onprem/berlin", "onprem/berlin@LAT,LON"},
		{"location", "onprem/berlin@52.5", "are no coordinates", "onprem/berlin@52.5,13.4,DE"},
		{"location", "onprem/berlin@152.5,13.4", "are no coordinates", "degrees"},
		{"location", "onprem/berlin@NaN,13.4", "are no coordinates", "degrees"},
		{"location", "onprem/berlin@0,0", "no latitude and longitude", ""},
		{"location", "onprem/berlin@52.5,13.4,GERMANY", "not the code of a country", "DE"},
		{"location", "internet/berlin@52.5,13.4", "means clients, and is no cloud", "onprem/berlin"},
		{"location", "all/berlin@52.5,13.4", "means clients, and is no cloud", "onprem/berlin"},
		{"bucket", "gs://layers@internet/x@1,2", "means clients, and is no cloud", "onprem/x"},
		{"location", "aws/us-east-1@52.5,13.4", "is on the map", "write aws/us-east-1"},
		{"registry", "registry.example.org", "not the URL of a registry", "https://HOST"},
		{"registry", "ftp://registry.example.org", "not the URL of a registry", "https://HOST"},
		{"registry", "https://r.example.org/v2/", "begins with /v2", "leave out /v2"},
		{"registry", "https://r.example.org/UPPER", "not the beginning of a repository name", ""},
		{"registry", "https://r.example.org?x=SECRET", "query", "https://HOST"},
		{"registry", "https://user:SECRET@r.example.org", "user name or password", "leave them out"},
		{"registry", "https://user:SECRET@host/path", "user name or password", "leave them out"},
		{"registry", "https://SECRET@host/path", "no place host/path", ""},
		{"registry", "https://r.example.org@aws/nowhere-1", "no place aws/nowhere-1", "LAT,LON"},
		{"registry", "https://r.example.org@onprem/berlin@1,2", "other coordinates already", "once"},
		{"bucket", "layers", "unknown scheme", "s3://NAME"},
		{"bucket", "s3://layers", "no region", ""},
		{"bucket", "s3://layers?region=nowhere-1", "no place aws/nowhere-1", "@aws/nowhere-1@LAT,LON"},
		{"bucket", "gs://layers", "in which region", "@gcp/REGION"},
		{"bucket", "file:///srv", "has no URL", "by hand"},
		{"bucket", "s3://AKIA:SECRET@b-1?region=us-east-1", "credentials", "without keys"},
		{"bucket", "s3://b-1?region=us-east-1&X-Amz-Signature=SECRET", "unknown parameter", ""},
		{"bucket", "s3://b-1?region=us-east-1&endpoint=https://u:SECRET@host/x", "", ""},
		{"bucket", "s3://taken?region=us-east-1", "the bucket is that of s3-us-east-1", "overwrite"},
		{"clients", "10.0.0.0/8", "is not CIDR=PLACE", "10.20.0.0/16=onprem/berlin"},
		{"clients", "10.0.0.1/8=onprem/berlin", "bits set", "write 10.0.0.0/8"},
		{"clients", "10.0.0.0/8=onprem/hamburg", "no place onprem/hamburg", "LAT,LON"},
		{"image", "host.example:5000/app:1", "without a host", "team/app:1.0"},
		{"image", "team app", "a blank", ""},
		{"front", "google", "unknown front", "google-lb"},
		{"listen", "8080", "not an address to listen on", ":8080"},
		{"listen", "a b:1", "a blank", ""},
		{"listen", `"x":1`, "not an address to listen on", ":8080"},
	} {
		d, err := answers{location: "onprem/berlin@52.5,13.4", registries: []string{"https://m.example.org"}, buckets: []string{"s3://taken?region=us-east-1"}}.give()
		if err != nil {
			t.Fatal(err)
		}
		before, _ := d.Render()
		set := map[string]func(string) error{"location": d.SetLocation, "registry": d.AddRegistry, "bucket": d.AddBucket,
			"clients": d.AddClients, "image": d.AddImage, "front": d.SetFront, "listen": d.SetListen}[tt.flag]
		if tt.flag == "location" {
			d = New("")
			before, _ = d.Render()
			set = d.SetLocation
		}
		err = set(tt.answer)
		e, ok := errors.AsType[*cli.Error](err)
		if !ok || e.Code != cli.CodeUsage || !strings.Contains(err.Error(), tt.reason) || !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("%s %q: %v (%+v), want %q and the hint %q", tt.flag, tt.answer, err, e, tt.reason, tt.hint)
			continue
		}
		if strings.Contains(err.Error()+e.Hint, "SECRET") {
			t.Errorf("%s %q: the message tells the secret: %v %s", tt.flag, tt.answer, err, e.Hint)
		}
		if after, _ := d.Render(); !bytes.Equal(before, after) {
			t.Errorf("%s %q changed the draft", tt.flag, tt.answer)
		}
	}
}

// Any answers that are taken give a config that says exactly these values. Each input writes and parses up to seven
// configs, so there are fewer than 1,000 inputs a second.
func FuzzDraft(f *testing.F) {
	f.Add("aws/us-east-1", "https://r.example.org/team@gcp/us-central1", "s3://b-1/deep?region=us-east-1", "10.0.0.0/8=aws/us-east-1", "team/app:1.0", ":8080")
	f.Add("onprem/berlin@52.5,13.4", "http://[::1]:5000", "s3://b?region=x&endpoint=http://127.0.0.1:1&pathStyle=true", "2001:db8::/32=onprem/berlin", "app@sha256:"+strings.Repeat("0", 64), "127.0.0.1:9090")
	f.Add("no/on@-0.1,1e-3,NO", "https://r.example.org/null", "azblob://a/c/true@yes/no@1,2", "::/0=no/on", "true", "[::]:1")
	f.Add("1e3/0x1@1,2", "https://1/2@3/4@5,6", "gs://1/2@3/4@5,6", "0.0.0.0/0=3/4", "1", ":0")
	f.Fuzz(func(t *testing.T, location, registry, bucket, clients, image, listen string) {
		a := answers{location: location, registries: []string{registry}, buckets: []string{bucket}, clients: []string{clients}, images: []string{image}, listen: listen}
		d, err := a.give()
		if err != nil {
			return
		}
		c := parsed(t, d)
		u, s := c.Upstreams[0], c.Stores[0]
		text, _ := split(registry)
		if !strings.HasPrefix(text, u.URL) || strings.Trim(strings.TrimPrefix(text, u.URL), "/") != u.Prefix || u.Insecure != strings.HasPrefix(text, "http:") {
			t.Errorf("registry %q is %+v", registry, u)
		}
		if text, _ := split(bucket); s.Bucket != text {
			t.Errorf("bucket %q is %q", text, s.Bucket)
		}
		if c.Location != d.location || u.Place != d.registries[0].place || s.Place != d.buckets[0].place || !slices.Equal(s.Serves.Clouds, []string{s.Place.Cloud}) {
			t.Errorf("places %s %s %s, serves %v", c.Location, u.Place, s.Place, s.Serves)
		}
		for _, own := range d.sites {
			if got := c.Places[own.Place]; *got.Lat != own.lat || *got.Lon != own.lon || got.Country != own.country || math.IsNaN(own.lat) {
				t.Errorf("%s is at %v %v %s", own.Place, *got.Lat, *got.Lon, got.Country)
			}
		}
		cidr, at, _ := strings.Cut(clients, "=")
		at, _, _ = strings.Cut(at, "@")
		if o := c.Ranges.Overrides; len(o) != 1 || o[0].CIDR != netip.MustParsePrefix(cidr) || d.spelled(o[0].Place) != o[0].Place || at == "" {
			t.Errorf("clients %q are %v", clients, o)
		}
		if got := c.Mirror.Repositories.List; len(got) != 1 || !strings.HasPrefix(image, got[0]) {
			t.Errorf("image %q is %q", image, got)
		}
		if listen != "" && c.Listen != listen { // "" is not given
			t.Errorf("listen %q is %q", listen, c.Listen)
		}
	})
}
