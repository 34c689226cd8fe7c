package containerd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Pod is a pod with one container, which runs over CRI.
type Pod struct {
	IP string

	d         *Daemon
	container string // its id
	log       string // its file
}

// RunPod does what a kubelet does for a pod with one container: it makes the pod's network and the control group,
// pulls the image unless it is there, and starts the container. It adds to the configurations what CRI wants to know
// besides.
func (d *Daemon) RunPod(t testing.TB, name string, sandbox *cri.PodSandboxConfig, container *cri.ContainerConfig) *Pod {
	t.Helper()
	p := &Pod{d: d}
	logs := t.TempDir()
	sandbox.Metadata = &cri.PodSandboxMetadata{Name: name, Namespace: "test", Uid: filepath.Base(logs) + name}
	sandbox.LogDirectory = logs
	container.Metadata = &cri.ContainerMetadata{Name: name}
	container.LogPath = "log"
	p.log = filepath.Join(logs, container.LogPath)
	d.images(t, "image of "+name, func(ctx context.Context, images cri.ImageServiceClient) error {
		status, err := images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: container.Image})
		if err == nil && status.Image == nil {
			_, err = images.PullImage(ctx, &cri.PullImageRequest{Image: container.Image})
		}
		return err
	})
	err := d.runtime(t.Context(), func(ctx context.Context, r cri.RuntimeServiceClient) error {
		made, err := r.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: sandbox})
		if err != nil {
			return err
		}
		t.Cleanup(func() {
			if err := p.remove(context.WithoutCancel(t.Context()), made.PodSandboxId); err != nil {
				t.Errorf("CRI removal of pod %s: %v", name, err)
			}
		})
		status, err := r.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: made.PodSandboxId})
		if err != nil {
			return err
		}
		p.IP = status.Status.Network.Ip
		created, err := r.CreateContainer(ctx, &cri.CreateContainerRequest{PodSandboxId: made.PodSandboxId, Config: container, SandboxConfig: sandbox})
		if err != nil {
			return err
		}
		p.container = created.ContainerId
		_, err = r.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: p.container})
		return err
	})
	if err != nil {
		t.Fatalf("CRI pod %s: %v", name, err)
	}
	return p
}

// remove ends the pod and removes all of it.
func (p *Pod) remove(ctx context.Context, sandbox string) error {
	return p.d.runtime(ctx, func(ctx context.Context, r cri.RuntimeServiceClient) error {
		if _, err := r.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: sandbox}); err != nil {
			return err
		}
		_, err := r.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: sandbox})
		return err
	})
}

// Status returns how the container is.
func (p *Pod) Status(t testing.TB) *cri.ContainerStatus {
	t.Helper()
	status, _ := p.status(t)
	return status
}

// Proc returns the directory below /proc of the container's first process.
func (p *Pod) Proc(t testing.TB) string {
	t.Helper()
	_, info := p.status(t)
	var of struct{ PID int }
	if err := json.Unmarshal([]byte(info), &of); err != nil {
		t.Fatal(err)
	}
	return filepath.Join("/proc", strconv.Itoa(of.PID))
}

func (p *Pod) status(t testing.TB) (status *cri.ContainerStatus, info string) {
	t.Helper()
	err := p.d.runtime(t.Context(), func(ctx context.Context, r cri.RuntimeServiceClient) error {
		answer, err := r.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: p.container, Verbose: true})
		if err == nil {
			status, info = answer.Status, answer.Info["info"]
		}
		return err
	})
	if err != nil {
		t.Fatalf("CRI status: %v", err)
	}
	return status, info
}

// Stop sends SIGTERM to the container, and SIGKILL when it does not end within grace. It waits for the end.
func (p *Pod) Stop(ctx context.Context, grace time.Duration) error {
	return p.d.runtime(ctx, func(ctx context.Context, r cri.RuntimeServiceClient) error {
		_, err := r.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: p.container, Timeout: int64(grace.Seconds())})
		return err
	})
}

// Log returns what the container wrote.
func (p *Pod) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text)
}
