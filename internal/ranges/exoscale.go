package ranges

// parseExoscale reads exoscale_prefixes.json; a zone is what we call a region.
//
// https://community.exoscale.com/platform/ip-prefixes
func parseExoscale(data []byte) ([]row, error) {
	var file struct {
		Prefixes []struct {
			V4   string `json:"IPv4Prefix"`
			V6   string `json:"IPv6Prefix"`
			Zone string `json:"zone"`
		} `json:"prefixes"`
	}
	if err := decode(data, &file); err != nil {
		return nil, err
	}
	rows := make([]row, 0, len(file.Prefixes))
	for i, it := range file.Prefixes {
		p, err := either(it.V4, it.V6)
		if err == nil && it.Zone == "" {
			err = errNoRegion
		}
		if err != nil {
			return nil, rowError("prefixes", i, err)
		}
		rows = append(rows, row{prefix: p, region: it.Zone})
	}
	return rows, nil
}
