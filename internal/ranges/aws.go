package ranges

import "errors"

// parseAWS reads ip-ranges.json. Every service counts: a prefix listed under several services has one region in all.
// Region GLOBAL (anycast) means that the cloud is known and the region is not.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-syntax.html
func parseAWS(data []byte) ([]row, error) {
	type item struct {
		V4     string `json:"ip_prefix"`
		V6     string `json:"ipv6_prefix"`
		Region string `json:"region"`
	}
	var file struct {
		Prefixes     []item `json:"prefixes"`
		IPv6Prefixes []item `json:"ipv6_prefixes"`
	}
	if err := decode(data, &file); err != nil {
		return nil, err
	}
	rows := make([]row, 0, len(file.Prefixes)+len(file.IPv6Prefixes))
	for _, list := range []struct {
		name  string
		items []item
	}{{"prefixes", file.Prefixes}, {"ipv6_prefixes", file.IPv6Prefixes}} {
		for i, it := range list.items {
			p, err := either(it.V4, it.V6)
			if err == nil && it.Region == "" {
				err = errNoRegion
			}
			if err != nil {
				return nil, rowError(list.name, i, err)
			}
			rows = append(rows, row{prefix: p, region: it.Region})
		}
	}
	return rows, nil
}

var errNoRegion = errors.New("no region")
