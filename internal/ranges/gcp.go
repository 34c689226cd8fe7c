package ranges

// parseGCP reads cloud.json, the ranges that customers' resources have. Scope "global" is no region.
//
// https://support.google.com/a/answer/10026322
func parseGCP(data []byte) ([]row, error) {
	var file struct {
		Prefixes []struct {
			V4    string `json:"ipv4Prefix"`
			V6    string `json:"ipv6Prefix"`
			Scope string `json:"scope"`
		} `json:"prefixes"`
	}
	if err := decode(data, &file); err != nil {
		return nil, err
	}
	rows := make([]row, 0, len(file.Prefixes))
	for i, it := range file.Prefixes {
		p, err := either(it.V4, it.V6)
		if err == nil && it.Scope == "" {
			err = errNoRegion
		}
		if err != nil {
			return nil, rowError("prefixes", i, err)
		}
		rows = append(rows, row{prefix: p, region: it.Scope})
	}
	return rows, nil
}
