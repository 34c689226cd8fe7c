package storeconform

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the protocol sends it with a key
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ociproxy/internal/oci"
	"ociproxy/internal/store"
	"ociproxy/test/azure"
	"ociproxy/test/gcs"
	"ociproxy/test/parts"
	"ociproxy/test/s3"
	"ociproxy/test/seaweedfs"
)

// spoiler puts an object as another tool does: the right bytes, with other headers.
type spoiler struct {
	bucket  store.Bucket
	address string // public URL of a blob, with {digest}
	put     func(t *testing.T, key string, data []byte, contentType, encoding string)
	// more are spoilers of other kinds, by what they do.
	more map[string]func(t *testing.T, key string, data []byte)
}

// mends makes sure that the bucket distinguishes an object that another tool made from one of ours, by name and in
// lists; that anonymous clients see the difference too; that the object can be written again; and that a copy of the
// object does not keep the difference.
func (s spoiler) mends(t *testing.T) {
	client := store.PublicClient(1)
	t.Cleanup(client.CloseIdleConnections)
	public := store.Public{URL: s.address, Client: client}
	spoils := map[string]func(t *testing.T, key string, data []byte){
		"gzip": func(t *testing.T, key string, data []byte) { s.put(t, key, data, "application/octet-stream", "gzip") },
		"aws-chunked": func(t *testing.T, key string, data []byte) {
			s.put(t, key, data, "application/octet-stream", "aws-chunked")
		},
		"text": func(t *testing.T, key string, data []byte) { s.put(t, key, data, "text/plain", "") },
	}
	for what, spoil := range s.more {
		spoils[what] = spoil
	}
	for what, spoil := range spoils {
		t.Run(what, func(t *testing.T) {
			data := []byte("right bytes, " + what)
			d, err := oci.ParseDigest(fmt.Sprintf("sha256:%x", sha256.Sum256(data)))
			if err != nil {
				t.Fatal(err)
			}
			key := store.BlobKey(d)
			spoil(t, key, data)
			there, err := s.bucket.Head(t.Context(), key)
			if err == nil && what == "aws-chunked" && there.ContentEncoding == "" {
				t.Skip("the server knows that it is no encoding of what is stored")
			}
			if err != nil || there.Altered() == "" || there.Size != int64(len(data)) || there.Version == "" {
				t.Fatalf("%+v, %v", there, err)
			}
			if err := public.Look(t.Context(), d, there.Size); (what == "gzip" || what == "aws-chunked") && err == nil {
				t.Error("anonymous clients get no error")
			}
			if copier, ok := s.bucket.(store.Copier); ok && there.Hidden == "" {
				if _, err := copier.CopyFrom(t.Context(), "copied/"+what, s.bucket, there, store.BlobHeader); err != nil {
					t.Fatal(err)
				}
				if a, err := s.bucket.Head(t.Context(), "copied/"+what); err != nil || a.Altered() != "" {
					t.Errorf("the copy: %+v, %v", a, err)
				}
			}
			if _, err := store.Replace(t.Context(), s.bucket, key, store.Bytes(data), store.BlobHeader, there.Version); err != nil {
				t.Fatal(err)
			}
			now, err := s.bucket.Head(t.Context(), key)
			if err != nil || now.Altered() != "" || now.Header != store.BlobHeader {
				t.Errorf("written again: %+v, %v", now, err)
			}
			for a, err := range s.bucket.List(t.Context(), key, "") {
				if err != nil || a.Altered() != "" {
					t.Errorf("listed: %+v, %v", a, err)
				}
			}
			if err := public.Look(t.Context(), d, now.Size); err != nil {
				t.Error(err)
			}
		})
	}
}

// s3Spoiler writes by S3 without our own code.
func s3Spoiler(b store.Bucket, client *awss3.Client, bucket, address string) spoiler {
	return spoiler{bucket: b, address: address, put: func(t *testing.T, key string, data []byte, contentType, encoding string) {
		in := &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data), ContentType: &contentType}
		if encoding != "" {
			in.ContentEncoding = &encoding
		}
		if _, err := client.PutObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}}
}

func TestHiddenVersitygw(t *testing.T) {
	s := s3.Start(t, region)
	cred, err := s.Client().Options().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, "s3://blobs?region="+region+"&pathStyle=true&endpoint=http://"+s.Backend(), store.Options{Getenv: func(name string) string {
		return map[string]string{"AWS_ACCESS_KEY_ID": cred.AccessKeyID, "AWS_SECRET_ACCESS_KEY": cred.SecretAccessKey}[name]
	}})
	s3Spoiler(b, s.Client(), "blobs", s.URL).mends(t)
}

func TestSlowHiddenSeaweedFS(t *testing.T) {
	parts.Slow(t)
	s := seaweedfs.Start(t, region)
	client := awss3.New(awss3.Options{BaseEndpoint: aws.String(s.URL), Region: region, UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(s.Getenv("AWS_ACCESS_KEY_ID"), s.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired})
	b := open(t, s.BucketURL(seaweedfs.Bucket), store.Options{Getenv: s.Getenv})
	hidden := s3Spoiler(b, client, seaweedfs.Bucket, s.URL+"/"+seaweedfs.Bucket+"/"+store.BlobPrefix+"{digest}")
	hidden.more = map[string]func(t *testing.T, key string, data []byte){
		"a customer's key": func(t *testing.T, key string, data []byte) {
			secret := []byte(strings.Repeat("k", 32))
			sum := md5.Sum(secret)
			if _, err := client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(seaweedfs.Bucket), Key: &key, Body: bytes.NewReader(data),
				SSECustomerAlgorithm: aws.String("AES256"),
				SSECustomerKey:       aws.String(base64.StdEncoding.EncodeToString(secret)), SSECustomerKeyMD5: aws.String(base64.StdEncoding.EncodeToString(sum[:]))}); err != nil {
				t.Skip(err)
			}
		},
		"an archive": func(t *testing.T, key string, data []byte) {
			if _, err := client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(seaweedfs.Bucket), Key: &key, Body: bytes.NewReader(data),
				StorageClass: types.StorageClassGlacier}); err != nil {
				t.Skip(err)
			}
		},
	}
	hidden.mends(t)
}

func TestSlowHiddenGCS(t *testing.T) {
	parts.Slow(t)
	s := gcs.Start(t, gcsRegion)
	b := openGCS(t, s.BucketURL(gcs.Bucket), store.Options{})
	spoiler{bucket: noCopier{b}, address: s.BlobURL(gcs.Bucket), put: func(t *testing.T, key string, data []byte, contentType, encoding string) {
		body := fmt.Sprintf("--b\r\nContent-Type: application/json\r\n\r\n{\"name\":%q,\"contentType\":%q,\"contentEncoding\":%q}\r\n--b\r\nContent-Type: %s\r\n\r\n%s\r\n--b--\r\n",
			key, contentType, encoding, contentType, data)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/upload/storage/v1/b/"+gcs.Bucket+"/o?uploadType=multipart", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "multipart/related; boundary=b")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s %v", resp.Status, text, err)
		}
	}}.mends(t)
}

func TestSlowHiddenAzure(t *testing.T) {
	parts.Slow(t)
	s := azure.Start(t)
	b := openAzure(t, s.BucketURL(azure.Container), store.Options{})
	credential, err := blob.NewSharedKeyCredential(azure.Account, azure.Key)
	if err != nil {
		t.Fatal(err)
	}
	put := func(t *testing.T, key string, data []byte, contentType, encoding string) *blockblob.Client {
		o, err := blockblob.NewClientWithSharedKeyCredential(s.URL+"/"+azure.Container+"/"+key, credential, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Upload(context.WithoutCancel(t.Context()), readSeek(data), &blockblob.UploadOptions{
			HTTPHeaders: &blob.HTTPHeaders{BlobContentType: &contentType, BlobContentEncoding: &encoding}}); err != nil {
			t.Fatal(err)
		}
		return o
	}
	spoiler{bucket: noCopier{b}, address: s.BlobURL(azure.Container),
		put: func(t *testing.T, key string, data []byte, contentType, encoding string) {
			put(t, key, data, contentType, encoding)
		},
		more: map[string]func(t *testing.T, key string, data []byte){"an archive": func(t *testing.T, key string, data []byte) {
			if _, err := put(t, key, data, "application/octet-stream", "").SetTier(t.Context(), blob.AccessTierArchive, nil); err != nil {
				t.Fatal(err)
			}
		}}}.mends(t)
}

// readSeek returns a body that can be sent again.
func readSeek(data []byte) io.ReadSeekCloser {
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(data), io.NopCloser(nil)}
}
