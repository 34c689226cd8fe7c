package ranges

import (
	"fmt"
	"strings"
)

// azureTag precedes the region in the tags that list a region's complete address space.
const azureTag = "AzureCloud."

// parseAzure reads the service tags file. It uses only AzureCloud.<region>. The plain AzureCloud repeats all prefixes
// without a region, and service tags (Storage.WestEurope) repeat parts of them. Internal spellings of regions
// ("germanywc") are aliases on the map.
//
// https://learn.microsoft.com/azure/virtual-network/service-tags-overview
func parseAzure(data []byte) ([]row, error) {
	var file struct {
		Values []struct {
			Name       string `json:"name"`
			Properties struct {
				Prefixes []string `json:"addressPrefixes"`
			} `json:"properties"`
		} `json:"values"`
	}
	if err := decode(data, &file); err != nil {
		return nil, err
	}
	var rows []row
	for _, v := range file.Values {
		region, ok := strings.CutPrefix(v.Name, azureTag)
		if !ok {
			continue
		}
		region = strings.ToLower(region)
		for i, s := range v.Properties.Prefixes {
			p, err := parsePrefix(s)
			if err == nil && region == "" {
				err = errNoRegion
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.Name, rowError("addressPrefixes", i, err))
			}
			rows = append(rows, row{prefix: p, region: region})
		}
	}
	return rows, nil
}
