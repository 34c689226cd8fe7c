package storeconform

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"

	"ociproxy/internal/store"
	"ociproxy/internal/store/storetest"
	"ociproxy/test/parts"
	"ociproxy/test/s3"
	"ociproxy/test/seaweedfs"
)

const region = "us-east-2"

// server is a running S3 server.
type server struct {
	url    string // the bucket's
	getenv func(string) string
	// regionless says that the server reports no region, so that no region can be wrong.
	regionless bool
}

func versitygw(t *testing.T) server {
	s := s3.Start(t, region)
	cred, err := s.Client().Options().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return server{
		url: "s3://blobs?region=" + region + "&pathStyle=true&endpoint=http://" + s.Backend(),
		getenv: func(name string) string {
			return map[string]string{"AWS_ACCESS_KEY_ID": cred.AccessKeyID, "AWS_SECRET_ACCESS_KEY": cred.SecretAccessKey}[name]
		},
	}
}

func seaweedfsServer(t *testing.T) server {
	s := seaweedfs.Start(t, region)
	return server{url: s.BucketURL(seaweedfs.Bucket), getenv: s.Getenv, regionless: true}
}

func (s server) open(t *testing.T, url string, opt store.Options) store.Bucket {
	t.Helper()
	opt.Getenv = s.getenv
	if opt.Transport == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		t.Cleanup(transport.CloseIdleConnections)
		opt.Transport = transport
	}
	b, err := store.Open(t.Context(), url, opt)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVersitygw(t *testing.T) {
	s := versitygw(t)
	storetest.Conform(t, func(t *testing.T) store.Bucket { return s.open(t, s.url, store.Options{}) })
	t.Run("CopyInParts", s.copyInParts)
	t.Run("Prefix", func(t *testing.T) {
		storetest.Conform(t, func(t *testing.T) store.Bucket {
			return s.open(t, strings.Replace(s.url, "blobs", "blobs/deep/inside", 1), store.Options{})
		})
	})
	t.Run("Unfit", s.unfit)
	t.Run("Owner", s.owner)
}

func TestSlowSeaweedFS(t *testing.T) {
	parts.Slow(t)
	s := seaweedfsServer(t)
	storetest.Conform(t, func(t *testing.T) store.Bucket { return s.open(t, s.url, store.Options{}) })
	t.Run("CopyInParts", s.copyInParts)
	t.Run("Unfit", s.unfit)
}

// A copy in parts has the same bytes. The store then has no checksum of the complete object.
func (s server) copyInParts(t *testing.T) {
	b := s.open(t, s.url, store.Options{CopyWhole: 17 << 20})
	data := make([]byte, 40<<20+1)
	for i := range data {
		data[i] = byte(i >> 16)
	}
	from, err := b.Put(t.Context(), "whole", storetest.Whole(data), store.BlobHeader, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.(store.Copier).CopyFrom(t.Context(), "copied", b, from, store.BlobHeader); err != nil {
		t.Fatal(err)
	}
	body, a, err := b.Get(t.Context(), "copied", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the copy has %d other bytes, %v", len(got), err)
	}
	if a.SHA256 != "" || a.Header != store.BlobHeader {
		t.Errorf("the copy's attributes: %+v", a)
	}
	_, err = b.(store.Copier).CopyFrom(t.Context(), "copied", b, from, store.BlobHeader)
	if !errors.Is(err, store.ErrExists) {
		t.Errorf("copied again: %v, want ErrExists", err)
	}
}

// Every request names the required owner of the bucket.
func (s server) owner(t *testing.T) {
	b := s.open(t, s.url, store.Options{Owner: "test"})
	if err := b.Check(t.Context(), "inventory/probe/"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "owned", storetest.Whole([]byte("x")), store.BlobHeader, ""); err != nil {
		t.Fatal(err)
	}
	other := s.open(t, s.url, store.Options{Owner: "111122223333"})
	err := other.Check(t.Context(), "inventory/probe/")
	if !errors.Is(err, store.ErrUnfit) || !strings.Contains(err.Error(), "another account than 111122223333") {
		t.Errorf("%v, want ErrUnfit", err)
	}
	for what, err := range map[string]error{
		"head":   second(other.Head(t.Context(), "owned")),
		"put":    second(other.Put(t.Context(), "new", storetest.Whole([]byte("x")), store.BlobHeader, "")),
		"parts":  second(other.Put(t.Context(), "new", storetest.Whole(make([]byte, 17<<20)), store.BlobHeader, "")),
		"delete": other.Delete(t.Context(), "owned", ""),
		"list":   first(other.List(t.Context(), "", "")),
		"clean":  second(other.(store.Cleaner).Clean(t.Context(), "", 0)),
		"copy":   second(b.(store.Copier).CopyFrom(t.Context(), "new", other, store.Attrs{Key: "owned", Size: 1, Version: "x"}, store.BlobHeader)),
	} {
		if !errors.Is(err, store.ErrDenied) && !errors.Is(err, store.ErrCannotCopy) {
			t.Errorf("%s: %v, want ErrDenied", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// first returns the error of a list's first pair.
func first(list iter.Seq2[store.Attrs, error]) error {
	for _, err := range list {
		return err
	}
	return nil
}

// The check refuses a bucket that must not be written to, and gives the reason.
func (s server) unfit(t *testing.T) {
	for _, c := range []struct {
		name, url string
		opt       store.Options
		text      string
	}{
		{"missing", strings.Replace(s.url, "blobs", "nowhere", 1), store.Options{}, "no such bucket"},
		{"elsewhere", s.url, store.Options{Region: "eu-west-1"}, "lies in region " + region + ", not in eu-west-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := s.open(t, c.url, c.opt).Check(t.Context(), "inventory/probe/")
			if c.opt.Region != "" && s.regionless {
				if err != nil {
					t.Errorf("%v, want no fault: the server tells no region", err)
				}
				return
			}
			if !errors.Is(err, store.ErrUnfit) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want ErrUnfit with %q", err, c.text)
			}
		})
	}
	t.Run("credentials", func(t *testing.T) {
		s.getenv = func(name string) string {
			return map[string]string{"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "else"}[name]
		}
		err := s.open(t, s.url, store.Options{}).Check(t.Context(), "inventory/probe/")
		if !errors.Is(err, store.ErrUnfit) && !errors.Is(err, store.ErrDenied) {
			t.Errorf("%v, want ErrUnfit or ErrDenied", err)
		}
	})
}
