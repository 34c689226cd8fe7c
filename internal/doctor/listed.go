package doctor

import (
	"slices"
	"strings"

	"ociproxy/internal/endpoints"
)

// readList reads a published list. It leaves out patterns, which no client can be sent to.
func readList(text []byte) ([]endpoints.Endpoint, error) {
	list, err := endpoints.Parse(text)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Endpoints, func(e endpoints.Endpoint) bool { return strings.HasPrefix(e.Host, "*.") }), nil
}

// bucketName is the name in the ARN of a bucket.
func bucketName(e *endpoints.Endpoint) string {
	return e.Bucket[strings.LastIndexByte(e.Bucket, ':')+1:]
}
