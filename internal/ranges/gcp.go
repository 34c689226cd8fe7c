package ranges

// parseGCP reads cloud.json: the ranges of customers' resources. The scope "global" is not a region.
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
