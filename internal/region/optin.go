package region

import (
	"slices"

	"ociproxy/internal/place"
)

// alwaysOn are the regions of AWS that are switched on in each account. All regions that AWS opened after 20 March 2019
// must be switched on first (AWS Account Management, "Enable or disable AWS Regions in your account").
var alwaysOn = []string{
	"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
	"ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
	"us-east-1", "us-east-2", "us-west-1", "us-west-2",
}

// OptIn reports whether an account must switch the region on before it can make a bucket there.
func OptIn(site place.Site) bool {
	return site.Cloud == "aws" && site.Partition == "aws" && !slices.Contains(alwaysOn, site.Region)
}
