package containerd

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// Container says how an image is run. Its root is read-only, it has no capability, and it cannot gain privileges.
type Container struct {
	Image   string   // the name with which it was pulled
	Command []string // replaces the image's own command; ctr puts no entry point before it
	Mounts  []string // in the form of ctr: type=bind,src=…,dst=…,options=rbind:ro
	Env     []string
	HostNet bool
	Ready   func() error
}

// Running is a running container. Its process is ctr, which passes on signals and the exit code.
type Running struct {
	*parts.Process
	t    testing.TB
	file string // with the id of the container's first process
}

// capabilities are the capabilities that ctr gives a container.
var capabilities = strings.Fields(`CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP
	NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE`)

// Run starts a container and waits until it is ready.
func (d *Daemon) Run(t testing.TB, id string, c Container) *Running {
	t.Helper()
	r := &Running{t: t, file: filepath.Join(t.TempDir(), "pid")}
	args := []string{
		"--address", d.Socket, "--namespace", "test", "run", "--rm", "--read-only", "--snapshotter", "native",
		"--pid-file", r.file,
	}
	for _, name := range capabilities {
		args = append(args, "--cap-drop", "CAP_"+name)
	}
	for _, m := range c.Mounts {
		args = append(args, "--mount", m)
	}
	for _, e := range c.Env {
		args = append(args, "--env", e)
	}
	if c.HostNet {
		args = append(args, "--net-host")
	}
	args = append(append(args, c.Image, id), c.Command...)
	r.Process = parts.Start(t, parts.Spec{Path: d.ctr, Args: args, Ready: c.Ready})
	return r
}

// Inside returns the id of the container's first process, when there is one.
func (r *Running) Inside() (pid int, err error) {
	text, err := os.ReadFile(r.file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// Proc reads a file below /proc of the container's first process.
func (r *Running) Proc(name string) string {
	r.t.Helper()
	pid, err := r.Inside()
	if err != nil {
		r.t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}

// Net runs a program of this machine in the network of the container, which has a loopback of its own.
func (r *Running) Net(program string, args ...string) (string, error) {
	r.t.Helper()
	pid, err := r.Inside()
	if err != nil {
		return "", err
	}
	args = append([]string{"--target", strconv.Itoa(pid), "--net", program}, args...)
	return parts.Try(r.t, time.Minute, parts.Find(r.t, "nsenter"), args...)
}
