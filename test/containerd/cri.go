package containerd

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// PullCRI pulls an image over CRI, as a kubelet does, for the machine's own platform, and returns its image id.
func (d *Daemon) PullCRI(t testing.TB, ref string) string {
	t.Helper()
	var id string
	d.images(t, "pull of "+ref, func(ctx context.Context, images cri.ImageServiceClient) error {
		pulled, err := images.PullImage(ctx, &cri.PullImageRequest{Image: &cri.ImageSpec{Image: ref}})
		if err != nil {
			return err
		}
		status, err := images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: pulled.ImageRef}})
		if err != nil {
			return err
		}
		if status.Image == nil {
			return errors.New("the image is not there after the pull")
		}
		id = status.Image.Id
		return nil
	})
	return id
}

// RemoveCRI removes an image that was pulled over CRI.
func (d *Daemon) RemoveCRI(t testing.TB, ref string) {
	t.Helper()
	d.images(t, "removal of "+ref, func(ctx context.Context, images cri.ImageServiceClient) error {
		_, err := images.RemoveImage(ctx, &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: ref}})
		return err
	})
}

// images calls CRI's image service.
func (d *Daemon) images(t testing.TB, what string, call func(context.Context, cri.ImageServiceClient) error) {
	t.Helper()
	err := d.call(t.Context(), func(ctx context.Context, conn *grpc.ClientConn) error {
		return call(ctx, cri.NewImageServiceClient(conn))
	})
	if err != nil {
		t.Fatalf("CRI %s: %v", what, err)
	}
}

// runtime calls CRI's runtime service.
func (d *Daemon) runtime(ctx context.Context, call func(context.Context, cri.RuntimeServiceClient) error) error {
	return d.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		return call(ctx, cri.NewRuntimeServiceClient(conn))
	})
}

// call calls with a limit of three minutes.
func (d *Daemon) call(ctx context.Context, call func(context.Context, *grpc.ClientConn) error) error {
	conn, err := grpc.NewClient("unix://"+d.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	return call(ctx, conn)
}
