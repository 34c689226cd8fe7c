package address

import "testing"

func TestOfURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://layers-x.s3.dualstack.us-east-1.amazonaws.com/containers/images/": "arn:aws:s3:::layers-x us-east-1 containers/images/",
		"https://layers-x.s3.eu-central-1.amazonaws.com/":                          "arn:aws:s3:::layers-x eu-central-1 ",
		"https://layers-x.s3-us-west-2.amazonaws.com/a":                            "arn:aws:s3:::layers-x us-west-2 a",
		"https://layers-x.s3.amazonaws.com:443/a/":                                 "arn:aws:s3:::layers-x  a/",
		"https://layers.example.org.s3.amazonaws.com/a/":                           "arn:aws:s3:::layers.example.org  a/",
		"https://s3.dualstack.us-east-1.amazonaws.com/layers.example.org/a/":       "arn:aws:s3:::layers.example.org us-east-1 a/",
		"https://LAYERS-x.s3.dualstack.cn-north-1.amazonaws.com.cn/a/":             "arn:aws-cn:s3:::layers-x cn-north-1 a/",
		"https://x-y.s3.dualstack.us-gov-west-1.amazonaws.com/a/":                  "arn:aws-us-gov:s3:::x-y us-gov-west-1 a/",
		"http://layers-x.s3.dualstack.us-east-1.amazonaws.com/a/":                  "", // a policy allows HTTPS
		"https://s3.dualstack.us-east-1.amazonaws.com/":                            "",
		"https://storage.googleapis.com/layers/":                                   "",
		"https://layers.s3.example.org/a/":                                         "",
		"https://s3.amazonaws.com.example.org/layers/":                             "",
		"https://evils3.us-east-1.amazonaws.com/layers/":                           "",
		"https://layers-x.s3.dualstack.us-east-1.amazonaws.com:8443/a/":            "",
		"::": "",
	} {
		b, ok := OfURL(text)
		got := ""
		if ok {
			got = b.ARN() + " " + b.Region + " " + b.Prefix
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// What Public makes of a bucket, OfURL turns back.
func TestOfURLReversesPublic(t *testing.T) {
	for _, text := range []string{
		"s3://layers-example/deep/inside?region=eu-central-1", "s3://layers.example.org?region=us-east-1", "s3://layers-example?region=cn-north-1",
	} {
		b, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		public, err := b.Public()
		if err != nil {
			t.Fatal(err)
		}
		if back, ok := OfURL(public); !ok || back.Name != b.Name || back.Prefix != b.Prefix || back.Region != b.Region {
			t.Errorf("%s → %s → %+v, %v", text, public, back, ok)
		}
	}
}
