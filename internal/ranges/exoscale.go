package ranges

// parseExoscale reads exoscale_prefixes.json. Exoscale's "zone" is our region.
//
// https://community.exoscale.com/platform/ip-prefixes
func parseExoscale(data []byte) ([]row, error) {
	var file struct {
		Prefixes []struct {
			V4     string `json:"IPv4Prefix"`
			V6     string `json:"IPv6Prefix"`
			Region string `json:"zone"`
		} `json:"prefixes"`
	}
	if err := decode(data, &file); err != nil {
		return nil, err
	}
	return regionalRows("prefixes", len(file.Prefixes), func(i int) regional { return regional(file.Prefixes[i]) })
}
