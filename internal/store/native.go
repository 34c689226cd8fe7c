package store

import (
	"context"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"ociproxy/internal/store/address"
)

// S3 gives access to the settings of a bucket of S3, or of a service with the same protocol. Its client has the
// credentials, time-outs and retries of the bucket.
type S3 struct {
	Client *s3.Client
	Name   string
	Owner  *string // who must own it; nil accepts any owner
	Region string  // that requests are signed for
	Amazon bool    // it is Amazon's own service

	of *s3Bucket
}

// AsS3 returns access to the settings of b; false if b is no bucket of S3's kind.
func AsS3(b Bucket) (S3, bool) {
	of, ok := b.(*s3Bucket)
	if !ok {
		return S3{}, false
	}
	return S3{Client: of.client, Name: of.name, Owner: of.owner, Region: of.client.Options().Region, Amazon: of.amazon(), of: of}, true
}

// Failure returns an error of the client in the service's own words. It wraps [ErrNotFound], [ErrDenied], [ErrUnfit] or
// [errors.ErrUnsupported] where one of them applies. The code is that of the service, "" if there is none.
func (s S3) Failure(err error) (code string, _ error) { return s3Code(err), s3Failure(err) }

// Account returns the account that the credentials belong to. It needs no right.
func (s S3) Account(ctx context.Context) (string, error) {
	from := s.Client.Options()
	out, err := sts.New(sts.Options{Region: from.Region, Credentials: from.Credentials, HTTPClient: s.of.opt.credentialClient(),
		Retryer: credentialRetryer()}).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", s3Failure(err)
	}
	return aws.ToString(out.Account), nil
}

// GCS gives access to the settings of a bucket of Google Cloud Storage.
type GCS struct {
	Bucket *storage.BucketHandle
	Google bool // it is Google's own service, and not an emulator

	of *gcs
}

// AsGCS returns access to the settings of b; false if b is no bucket of Google Cloud Storage. It finds the credentials
// and makes no other request.
func AsGCS(b Bucket) (GCS, bool, error) {
	of, ok := b.(*gcs)
	if !ok {
		return GCS{}, false, nil
	}
	bucket, err := of.bucket()
	return GCS{Bucket: bucket, Google: of.endpoint == "", of: of}, true, err
}

// Failure returns an error of the client in the service's own words, with the errors of [Bucket].
func (g GCS) Failure(err error) error { return g.of.failure(err, "") }

// Azure gives access to the settings of a container.
type Azure struct {
	Container *container.Client
	Account   string
	Name      string
	Microsoft bool // it is Microsoft's own service, and not an emulator

	of *azure
}

// AsAzure returns access to the settings of b; false if b is no container of Azure.
func AsAzure(b Bucket) (Azure, bool) {
	of, ok := b.(*azure)
	if !ok {
		return Azure{}, false
	}
	return Azure{Container: of.container, Account: of.account, Name: of.name,
		Microsoft: of.endpoint == address.AzureEndpoint(of.account), of: of}, true
}

// Service returns a client for the settings that all containers of the account share.
func (a Azure) Service() (*service.Client, error) {
	options := &service.ClientOptions{ClientOptions: a.of.core()}
	if a.of.key != nil {
		return service.NewClientWithSharedKeyCredential(a.of.endpoint, a.of.key, options)
	}
	return service.NewClient(a.of.endpoint, a.of.token, options)
}

// Failure returns an error of the client in one line, with the errors of [Bucket].
func (a Azure) Failure(err error) error { return azureFailure(err, "") }
