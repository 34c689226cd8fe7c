package ranges

import "fmt"

// parseOracle reads public_ip_ranges.json. It uses all tags: OCI (customers' machines), OSN (services),
// OBJECT_STORAGE.
//
// https://docs.oracle.com/en-us/iaas/Content/General/Concepts/addressranges.htm
func parseOracle(data []byte) ([]row, error) {
	var file struct {
		Regions []struct {
			Region string `json:"region"`
			CIDRs  []struct {
				CIDR string `json:"cidr"`
			} `json:"cidrs"`
		} `json:"regions"`
	}
	if err := decode(data, &file); err != nil {
		return nil, err
	}
	var rows []row
	for i, r := range file.Regions {
		if r.Region == "" {
			return nil, rowError("regions", i, errNoRegion)
		}
		for j, c := range r.CIDRs {
			p, err := parsePrefix(c.CIDR)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.Region, rowError("cidrs", j, err))
			}
			rows = append(rows, row{prefix: p, region: r.Region})
		}
	}
	return rows, nil
}
