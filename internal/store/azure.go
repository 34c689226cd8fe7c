package store

import (
	"context"
	"errors"
	"net/url"
)

func openAzure(ctx context.Context, u *url.URL, opt Options) (Bucket, error) {
	return nil, errors.New("azblob: not built in")
}
