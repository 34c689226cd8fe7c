package main

import (
	"cmp"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// values returns what the resource gets as computed values: those of the table, or something of the right type.
func (p *provider) values(kind string, config tftypes.Value) filler {
	p.mu.Lock()
	region, account := cmp.Or(argument(config, "region"), p.region, "us-east-1"), p.account
	p.mu.Unlock()
	partition, suffix := "aws", "amazonaws.com"
	switch {
	case strings.HasPrefix(region, "cn-"):
		partition, suffix = "aws-cn", "amazonaws.com.cn"
	case strings.HasPrefix(region, "us-gov-"):
		partition = "aws-us-gov"
	}
	name := cmp.Or(argument(config, "bucket"), argument(config, "name"), kind)
	known := map[string]string{
		"account_id":                  account,
		"arn":                         "arn:" + partition + ":" + kind + ":" + region + ":" + account + ":" + name,
		"bucket_regional_domain_name": name + ".s3." + region + "." + suffix,
		"dns_suffix":                  suffix,
		"id":                          name,
		"name":                        name,
		"partition":                   partition,
		"region":                      region,
	}
	switch kind {
	case "aws_s3_bucket":
		known["arn"] = "arn:" + partition + ":s3:::" + name
	case "aws_iam_role", "aws_iam_policy":
		known["arn"] = "arn:" + partition + ":iam::" + account + ":" + strings.TrimPrefix(kind, "aws_iam_") + "/" + name
	case "aws_region":
		known["id"], known["name"] = region, region
	case "aws_caller_identity":
		known["id"] = account
	case "aws_partition":
		known["id"] = partition
	}
	return func(attribute string, t tftypes.Type) tftypes.Value {
		switch {
		case t.Is(tftypes.String):
			return tftypes.NewValue(t, cmp.Or(known[attribute], kind+"/"+name+"/"+attribute))
		case t.Is(tftypes.Bool):
			return tftypes.NewValue(t, false)
		case t.Is(tftypes.Number):
			return tftypes.NewValue(t, 0)
		case t.Is(tftypes.Map{}):
			return tftypes.NewValue(t, map[string]tftypes.Value{})
		case t.Is(tftypes.List{}), t.Is(tftypes.Set{}):
			return tftypes.NewValue(t, []tftypes.Value{})
		}
		return tftypes.NewValue(t, nil)
	}
}
