package ranges

// parseGCP reads cloud.json, the ranges that customers' resources have. Scope "global" is no region.
//
// https://support.google.com/a/answer/10026322
func parseGCP(data []byte) ([]row, error) {
	var file struct {
		Prefixes []struct {
			V4     string `json:"ipv4Prefix"`
			V6     string `json:"ipv6Prefix"`
			Region string `json:"scope"`
		} `json:"prefixes"`
	}
	if err := decode(data, &file); err != nil {
		return nil, err
	}
	return regionalRows("prefixes", len(file.Prefixes), func(i int) regional { return regional(file.Prefixes[i]) })
}
