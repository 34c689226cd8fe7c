package doctor

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/strictjson"
)

// listPath is where a registry publishes the hosts that clients may be sent to.
const listPath = "/.well-known/oci-proxy/endpoints.json"

// maxList is the most bytes of a list that are read.
const maxList = 4 << 20

// Listed is a host of the published list.
type Listed struct {
	Host     string    `json:"host"`
	Port     uint16    `json:"port"`
	Kind     string    `json:"kind"`
	Insecure bool      `json:"insecure"`
	Bucket   string    `json:"bucket"` // the ARN of an S3 bucket
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
}

// readList reads a published list. It leaves out patterns, which no client can be sent to, and what is no name.
func readList(text []byte) ([]Listed, error) {
	var list struct {
		Format    int      `json:"format"`
		Endpoints []Listed `json:"endpoints"`
	}
	if err := strictjson.Unmarshal(text, &list, strictjson.Bounds{Bytes: maxList, Depth: 8}); err != nil {
		return nil, err
	}
	if list.Format != 1 || list.Endpoints == nil {
		return nil, errors.New("not a list of format 1")
	}
	var out []Listed
	for _, e := range list.Endpoints {
		if e.Port != 0 && validHost(e.Host) {
			out = append(out, e)
		}
	}
	return out, nil
}

func (l *Listed) address() string {
	return shown(l.Host, strconv.Itoa(int(l.Port)), l.Insecure)
}

// bucketName is the name in the ARN of a bucket.
func (l *Listed) bucketName() string { return l.Bucket[strings.LastIndexByte(l.Bucket, ':')+1:] }
