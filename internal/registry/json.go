package registry

import (
	"errors"
	"fmt"

	"ociproxy/internal/strictjson"
)

// These are the bounds of JSON from registries. Values limits the memory for a text with many empty values.
var (
	manifestBounds = strictjson.Bounds{Bytes: MaxManifest, Values: 20 * maxDescriptors}
	pageBounds     = strictjson.Bounds{Bytes: maxPage, Values: 4 * maxList}
	errorBounds    = strictjson.Bounds{Bytes: maxErrorBody}
)

// decode reads JSON from a registry. The error wraps [ErrTooLarge] or bad, and is fit for a message.
func decode(raw []byte, v any, most strictjson.Bounds, bad error) error {
	err := strictjson.Unmarshal(raw, v, most)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strictjson.ErrBounds):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	default:
		return fmt.Errorf("%w: %s", bad, clean(err.Error()))
	}
}
