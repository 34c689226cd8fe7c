package store

import (
	"context"
	"errors"
	"net/url"
)

func openGCS(ctx context.Context, u *url.URL, opt Options) (Bucket, error) {
	return nil, errors.New("gs: not built in")
}
