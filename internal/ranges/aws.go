package ranges

// parseAWS reads ip-ranges.json. It reads the rows of every service: a prefix listed under several services has the
// same region in all of them. Region GLOBAL (anycast) means that the cloud is known but the region is not.
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
	v4, err := regionalRows("prefixes", len(file.Prefixes), func(i int) regional { return regional(file.Prefixes[i]) })
	if err != nil {
		return nil, err
	}
	v6, err := regionalRows("ipv6_prefixes", len(file.IPv6Prefixes), func(i int) regional { return regional(file.IPv6Prefixes[i]) })
	return append(v4, v6...), err
}
