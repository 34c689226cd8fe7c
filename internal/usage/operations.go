package usage

import (
	"strings"

	"ociproxy/internal/traffic"
)

// s3Operation reads REST.GET.OBJECT, BATCH.DELETE.OBJECT, S3.EXPIRE.OBJECT.
func s3Operation(text string) traffic.Operation {
	from, rest, _ := strings.Cut(text, ".")
	verb, kind, _ := strings.Cut(rest, ".")
	switch {
	case verb == "COPY" && strings.HasSuffix(kind, "_GET"):
		return traffic.Other // AWS bills the copy once
	case verb == "COPY":
		return traffic.CopyOf
	case verb == "DELETE" || verb == "EXPIRE" || kind == "MULTI_OBJECT_DELETE":
		return traffic.Delete
	case from == "S3":
		return traffic.Other
	case verb == "GET" && (kind == "BUCKET" || kind == "BUCKETVERSIONS" || kind == "UPLOADS" || kind == "UPLOAD" || kind == "SERVICE"):
		return traffic.List
	case verb == "GET":
		return traffic.Get
	case verb == "HEAD":
		return traffic.Head
	case verb == "PUT" || verb == "POST":
		return traffic.Put
	}
	return traffic.Other
}

// gcsOperation reads GET_Object of the XML API, and storage.objects.get of the JSON API.
func gcsOperation(text string) traffic.Operation {
	if verb, kind, ok := strings.Cut(text, "_"); ok {
		switch verb {
		case "GET":
			if kind == "Bucket" || kind == "Service" {
				return traffic.List
			}
			return traffic.Get
		case "HEAD":
			return traffic.Head
		case "PUT", "POST":
			return traffic.Put
		case "LIST":
			return traffic.List
		case "DELETE":
			return traffic.Delete
		case "COPY":
			return traffic.CopyOf
		}
		return traffic.Other
	}
	switch text[strings.LastIndexByte(text, '.')+1:] {
	case "get":
		return traffic.Get
	case "list":
		return traffic.List
	case "insert", "compose", "patch", "update":
		return traffic.Put
	case "copy", "rewrite":
		return traffic.CopyOf
	case "delete":
		return traffic.Delete
	}
	return traffic.Other
}

// azureOperation reads GetBlob, PutBlockList, CopyBlob, ListBlobs.
func azureOperation(text string) traffic.Operation {
	switch {
	case text == "GetBlob":
		return traffic.Get
	case strings.HasPrefix(text, "Copy"), strings.HasSuffix(text, "FromURL"):
		return traffic.CopyOf
	case strings.HasPrefix(text, "Get"):
		return traffic.Head // properties, metadata, lists of blocks: no content
	case strings.HasPrefix(text, "Put"), strings.HasPrefix(text, "Append"), strings.HasPrefix(text, "Set"), strings.HasPrefix(text, "Create"):
		return traffic.Put
	case strings.HasPrefix(text, "List"):
		return traffic.List
	case strings.HasPrefix(text, "Delete"):
		return traffic.Delete
	}
	return traffic.Other
}
