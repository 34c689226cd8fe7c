package address

import (
	"net/url"
	"regexp"
	"strings"
)

// s3Host are the hosts of Amazon's own service. With a bucket's name before them, the path is the key of an object;
// without, it begins with the name.
var s3Host = regexp.MustCompile(`^(?:([a-z0-9][a-z0-9.-]*)\.)?s3[.-](?:dualstack\.)?(?:([a-z]{2}(?:-[a-z]+)+-\d)\.)?amazonaws\.com(?:\.cn)?$`)

// OfURL returns the bucket that serves the objects below an https URL, the reverse of [Bucket.Public]; false when it is
// not a bucket of Amazon's own service. Region is "" where the host does not tell it.
func OfURL(text string) (Bucket, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Port() != "" && u.Port() != "443" {
		return Bucket{}, false
	}
	m := s3Host.FindStringSubmatch(strings.ToLower(u.Hostname()))
	if m == nil {
		return Bucket{}, false
	}
	b := Bucket{Scheme: "s3", Name: m[1], Region: m[2], Prefix: strings.TrimPrefix(u.Path, "/")}
	if b.Name == "" {
		b.PathStyle = true
		b.Name, b.Prefix, _ = strings.Cut(b.Prefix, "/")
	}
	if !bucketName.MatchString(b.Name) {
		return Bucket{}, false
	}
	b.text = "s3://" + b.Name
	return b, true
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// ARN returns the name of an S3 bucket of Amazon in policies.
func (b Bucket) ARN() string {
	partition := "aws"
	switch {
	case strings.HasPrefix(b.Region, "cn-"):
		partition = "aws-cn"
	case strings.HasPrefix(b.Region, "us-gov-"):
		partition = "aws-us-gov"
	}
	return "arn:" + partition + ":s3:::" + b.Name
}
