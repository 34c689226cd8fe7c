package store

import "strings"

// PutRequests returns how many write requests a [Bucket.Put] of size bytes makes of the bucket with this URL, if the
// object does not exist and nothing fails. It is the minimum: Google's parts are smaller while many objects are written
// at once. It is 0 for a URL that [Open] would refuse.
func PutRequests(bucket string, size int64) int64 { return kindOf(bucket).puts(size) }

// CopyRequests returns how many write requests a [Copier.CopyFrom] of size bytes makes of the destination bucket,
// with the default options. It is the minimum: Google answers large copies between locations in several steps.
func CopyRequests(bucket string, size int64) int64 { return kindOf(bucket).copies(size) }

func kindOf(bucket string) kind {
	scheme, _, _ := strings.Cut(bucket, ":")
	if k, ok := kinds[scheme]; ok {
		return k
	}
	return kinds["file"]
}

func none(int64) int64 { return 0 }

// pieces returns how many parts of this size make up size bytes.
func pieces(size, part int64) int64 { return (size + part - 1) / part }
