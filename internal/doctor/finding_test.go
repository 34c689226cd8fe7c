package doctor

import (
	"strings"
	"testing"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/endpoints"
)

// good and bad are ways to a host.
func good(issuer string, public bool) *Try {
	return &Try{Result: judge.OK, Issuer: issuer, Public: public}
}

func bad(f Fault) *Try { return &Try{Result: judge.Failed, Fault: f, why: "some reason"} }

func h(name string, v4, v6 *Try) *Host {
	return &Host{Address: name, Name: name, Port: "443", Kind: "store", V4: v4, V6: v6}
}

func TestDiagnose(t *testing.T) {
	target, err := ParseTarget("r.example/app:1")
	if err != nil {
		t.Fatal(err)
	}
	fine := good("Public CA", true)
	none := bad(noRecord)
	late := func(skew time.Duration, f Fault) *Try {
		return &Try{Result: judge.OK, Fault: f, Skew: skew, Dated: true, Public: true}
	}
	announced := h("new.example", bad(silent), bad(silent))
	announced.Later = time.Now().Add(time.Hour)
	proxied := h("r.example", bad(silent), bad(silent))
	proxied.Via = fine
	differs := h("s.example", fine, none)
	differs.Servers = []ServerAnswer{{"192.0.2.1", noFault}, {"192.0.2.2", noRecord}, {"192.0.2.3", noFault}}
	slow := h("s.example", fine, none)
	slow.Servers = []ServerAnswer{{"192.0.2.1", noResolver}, {"192.0.2.2", noFault}}
	many := []*Host{h("r.example", fine, none)}
	for _, n := range strings.Fields("a b c d e f g") {
		many = append(many, h(n+".example", bad(silent), none))
	}
	port := h("s.example:8443", bad(silent), none)
	port.Name, port.Port = "s.example", "8443"
	this := h("localhost", fine, bad(refused))
	tests := map[string]struct {
		hosts []*Host
		reads []*Try
		kinds string // of all findings
		says  string // a part of the first sentence
	}{
		"well":                   {[]*Host{h("r.example", fine, none)}, nil, "well", "All is well"},
		"only IPv6":              {[]*Host{h("r.example", none, fine)}, nil, "well", ""},
		"IPv6 is missing":        {[]*Host{h("r.example", fine, bad(noRoute))}, nil, "well", ""},
		"IPv6 is silent":         {[]*Host{h("r.example", fine, bad(silent))}, nil, "ipv6-broken", "IPv6 to r.example is broken while IPv4 works"},
		"IPv4 is silent":         {[]*Host{h("r.example", bad(silent), fine)}, nil, "ipv4-broken", "IPv4 to r.example is broken while IPv6 works"},
		"IPv6 cuts a request":    {[]*Host{h("r.example", fine, bad(stalled))}, []*Try{{Host: "r.example", Fault: stalled}}, "ipv6-broken", ""},
		"IPv6 and a 503":         {[]*Host{h("r.example", fine, bad(silent))}, []*Try{{Host: "r.example", Fault: broken, Status: 503}}, "server-error ipv6-broken", ""},
		"this machine":           {[]*Host{this}, nil, "well", ""},
		"plain HTTP":             {[]*Host{h("r.example", bad(plainHTTP), none)}, nil, "plain-http", "write http://r.example:443,"},
		"a consequence":          {[]*Host{h("r.example", fine, none), h("s.example", bad(silent), none)}, []*Try{{Host: "s.example", Fault: silent}}, "blocked", ""},
		"an interruption":        {[]*Host{h("r.example", fine, none)}, []*Try{{Host: "r.example", Fault: cutOff}}, "interrupted", "in the middle of an answer"},
		"no name":                {[]*Host{h("r.example", none, none)}, nil, "no-name", "does not exist"},
		"no resolver":            {[]*Host{h("r.example", bad(noResolver), bad(noResolver))}, nil, "dns-dead", "No resolver"},
		"no time":                {[]*Host{h("r.example", fine, none), h("s.example", nil, nil)}, nil, "late", "no time left for s.example"},
		"no answer for a store":  {[]*Host{h("r.example", fine, none), h("s.example", bad(noResolver), bad(noResolver))}, nil, "dns-fails", "gives no answer for s.example"},
		"the resolver fails":     {[]*Host{h("r.example", bad(dnsFails), bad(dnsFails))}, nil, "dns-fails", "answers with an error"},
		"resolvers differ":       {[]*Host{h("r.example", fine, none), differs}, nil, "dns-differs", "no address from 192.0.2.2, one from 192.0.2.1 and 192.0.2.3"},
		"a slow resolver":        {[]*Host{h("r.example", fine, none), slow}, nil, "dns-slow", "No answer comes from the resolver 192.0.2.1, only from 192.0.2.2"},
		"no network":             {[]*Host{h("r.example", bad(noRoute), bad(noRoute))}, nil, "offline", "no route to r.example"},
		"blocked in two ways":    {[]*Host{h("r.example", fine, none), h("a.example", bad(silent), none), h("b.example", bad(rejected), none)}, nil, "blocked rejected", "to a.example:"},
		"many hosts":             {many, nil, "blocked", "TCP port 443 to a.example, b.example, c.example, d.example and 3 more"},
		"another port":           {[]*Host{h("r.example", fine, none), port}, nil, "blocked", "let it allow TCP to s.example:8443"},
		"announced":              {[]*Host{h("r.example", fine, none), announced}, nil, "well", ""},
		"direct does not matter": {[]*Host{proxied}, nil, "well", ""},
		"interception":           {[]*Host{h("r.example", fine, none), h("s.example", &Try{Result: judge.Failed, Fault: untrusted, Issuer: "X"}, none)}, nil, "tls-intercepted", `with certificates of "X"`},
		"of a cloud":             {[]*Host{h("b.s3.amazonaws.com", &Try{Result: judge.Failed, Fault: untrusted, Issuer: "X"}, none)}, nil, "tls-intercepted", ""},
		"a private registry":     {[]*Host{h("r.example", &Try{Result: judge.Failed, Fault: untrusted, Issuer: "X"}, none)}, nil, "tls-untrusted", ""},
		"re-signed":              {[]*Host{h("r.example", fine, none), h("s.example", good("X", false), none)}, nil, "tls-resigned well", "re-signs TLS to s.example"},
		"all private":            {[]*Host{h("r.example", good("X", false), none), h("s.example", good("X", false), none)}, nil, "well", ""},
		"re-signed and blocked":  {[]*Host{h("r.example", fine, none), h("s.example", good("X", false), bad(silent))}, nil, "ipv6-broken tls-resigned", ""},
		"damaged":                {[]*Host{h("r.example", fine, none)}, []*Try{{Host: "r.example", Fault: changed}}, "damaged", "tell the operator"},
		"changed":                {[]*Host{h("r.example", good("X", false), none)}, []*Try{{Host: "r.example", Fault: changed}}, "changed", "exempt r.example"},
		"clock and certificate":  {[]*Host{h("r.example", late(-49*time.Hour, badTime), none)}, nil, "clock", "2 days ahead"},
		"only the clock":         {[]*Host{h("r.example", late(7*time.Minute, noFault), none)}, nil, "clock", "7 minutes behind"},
		"one host's clock":       {[]*Host{h("r.example", late(7*time.Minute, noFault), none), h("s.example", late(0, noFault), none)}, nil, "well", ""},
		"expired":                {[]*Host{h("r.example", &Try{Result: judge.Failed, Fault: badTime, expired: true, Dated: true}, none)}, nil, "tls-expired", "expired on"},
		"not yet valid":          {[]*Host{h("r.example", &Try{Result: judge.Failed, Fault: badTime, Dated: true}, none)}, nil, "tls-expired", "is not valid yet"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found := diagnose(&Facts{Target: target, Hosts: tt.hosts, Reads: tt.reads, Layer: true})
			var kinds []string
			for _, f := range found {
				kinds = append(kinds, f.Kind)
				if !strings.HasSuffix(f.Sentence, ".") || strings.Contains(f.Sentence, "%!") {
					t.Errorf("not a sentence: %s", f.Sentence)
				}
			}
			if got := strings.Join(kinds, " "); got != tt.kinds || !strings.Contains(found[0].Sentence, tt.says) {
				t.Errorf("%s: %s\nwant %s: …%s…", got, found[0].Sentence, tt.kinds, tt.says)
			}
		})
	}
}

func TestParseTarget(t *testing.T) {
	tests := map[string]string{
		"registry.example.org":                  "https://registry.example.org ",
		"Registry.Example.ORG/":                 "https://registry.example.org ",
		"https://registry.example.org/a/b":      "https://registry.example.org a/b:latest",
		"registry.example.org:5000/a/b:1.0":     "https://registry.example.org:5000 a/b:1.0",
		"http://127.0.0.1:5050/a":               "http://127.0.0.1:5050 a:latest",
		"127.0.0.1:5050/a":                      "http://127.0.0.1:5050 a:latest",
		"LocalHost:5050":                        "http://localhost:5050 ",
		"[::1]:5050":                            "http://[::1]:5050 ",
		"https://127.0.0.1:5050/a":              "https://127.0.0.1:5050 a:latest",
		"http://https://r":                      "error",
		"[2001:db8::1]:443/a:x":                 "https://[2001:db8::1]:443 a:x",
		"r/a@sha256:" + strings.Repeat("0", 64): "https://r a@sha256:" + strings.Repeat("0", 64),
		"":                                      "error", "/a": "error", "r:0/a": "error", "r:99999": "error", "user:pw@r/a": "error",
		"r/UPPER": "error", "r/a:b:c": "error", "r?x=1": "error", "r..x": "error", "r#x": "error", "a b": "error", "ftp://r": "error",
	}
	for text, want := range tests {
		target, err := ParseTarget(text)
		got := target.base() + " "
		if target.Image.Name != "" {
			got += target.Image.String()
		}
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestBucketOf(t *testing.T) {
	listed := &Host{Name: "s3.amazonaws.com", Buckets: []endpoints.Endpoint{{Bucket: "arn:aws:s3:::one"}, {Bucket: "arn:aws-cn:s3:::two"}}}
	for _, tt := range []struct {
		host      *Host
		url, want string
	}{
		{listed, "https://s3.amazonaws.com/two/key", "two arn:aws-cn:s3:::two"},
		{listed, "https://s3.amazonaws.com/three/key", "three arn:aws:s3:::three"},
		{&Host{Name: "b.s3.dualstack.eu-west-1.amazonaws.com"}, "https://b.s3.dualstack.eu-west-1.amazonaws.com/x/y", "b arn:aws:s3:::b"},
		{&Host{Name: "cdn.example", Buckets: listed.Buckets[:1]}, "https://cdn.example/x/y", "one arn:aws:s3:::one"},
	} {
		if name, arn := bucketOf(tt.host, tt.url); name+" "+arn != tt.want {
			t.Errorf("%s: %s %s, want %s", tt.url, name, arn, tt.want)
		}
	}
}
