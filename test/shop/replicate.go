package shop

import (
	"bytes"
	"io"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// Replicate puts the blobs of another shop here, directly at the server, as S3's replication does: same key, bytes and
// headers; the inventory stays behind.
func (s *Shop) Replicate(t testing.TB, from *Shop) {
	t.Helper()
	for _, key := range from.List(t, Key("")) {
		there, err := from.Server.Client().GetObject(t.Context(), &awss3.GetObjectInput{Bucket: &from.S3Bucket, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(there.Body)
		there.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Server.Client().PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &s.S3Bucket, Key: &key, Body: bytes.NewReader(content),
			ContentType: there.ContentType, CacheControl: there.CacheControl}); err != nil {
			t.Fatal(err)
		}
	}
}
