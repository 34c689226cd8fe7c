package parts

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const (
	// apartHost is the address of the machine that [Apart] makes. It is one of documentation (RFC 5737), because crane follows
	// no redirect to a private address.
	apartHost = "192.0.2.1"
	// apartVariable is set inside. It has the path of the control group.
	apartVariable = "OCIPROXY_APART"
)

// enter makes the machine of [Apart] and runs its arguments there. It runs in namespaces that are still copies of the
// outer ones. It is the first process, so it stays and reaps what other processes leave.
const enter = `
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /run/tmp /run/var /run/work
mount -t overlay -o lowerdir=/var,upperdir=/run/var,workdir=/run/work overlay /var
hostname "$1"
ip link set lo up
ip address add "$2"/32 dev lo
shift 2
"$@"
`

// Apart runs the test again as on a machine of its own: with its own process ids, mounts, network, host name, and an empty
// /run. Changes of /var are not seen outside. The address of that machine is [Host]. Apart returns true inside, where the
// caller then tests. Outside it returns false after the test has ended inside. The test fails outside when it failed inside.
//
// It is for programs that use fixed paths, firewall rules and namespaces, such as a container runtime. The kernel removes all of
// that together with the first process, however the test ends.
//
// env returns what is added to the environment inside. It is called outside, where it can build what the test needs.
func Apart(t *testing.T, limit time.Duration, env func() []string) bool {
	t.Helper()
	if inside() {
		return true
	}
	NeedRoot(t)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	vars := append(env(), apartVariable+"="+cgroup(t), "OCIPROXY_PARTS="+Dir(), "OCIPROXY_REQUIRE_PARTS=1",
		"OCIPROXY_SLOW="+os.Getenv("OCIPROXY_SLOW"), "TMPDIR=/run/tmp")
	p := Start(t, Spec{
		Path: Find(t, "unshare"), Dir: dir, Env: vars, Quiet: true, Abrupt: true,
		Args: []string{"--mount", "--pid", "--fork", "--net", "--uts", "--ipc", "--", "/bin/sh", "-ec", enter, "sh",
			Node, apartHost, os.Args[0], "-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=" + limit.String()},
	})
	code := p.Wait(t, limit+time.Minute)
	t.Logf("apart:\n%s", p.Output)
	if code != 0 {
		t.Fatalf("apart: exit code %d", code)
	}
	return false
}

// Node is the host name of the machine that [Apart] makes.
const Node = "node"

func inside() bool { return os.Getenv(apartVariable) != "" }

// Cgroup returns the path of the control group for what a test starts inside of [Apart], in all hierarchies.
func Cgroup() string { return os.Getenv(apartVariable) }

// cgroup makes the control group of a test. It is removed with all those below it after the test. Should this process be
// killed, the janitor does that, so the group has the name of the janitor's directory.
func cgroup(t *testing.T) string {
	t.Helper()
	name := filepath.Base(os.Getenv("TMPDIR"))
	dirs, err := makeGroups(name)
	for _, dir := range dirs {
		t.Cleanup(func() {
			// Not t's context, which has ended.
			if err := poll(context.Background(), Ready, func() error { return removeGroup(dir) }); err != nil {
				t.Errorf("remove %s: %v", dir, err)
			}
		})
	}
	if err != nil {
		missing(t, "no control group: %v", err)
	}
	return "/" + name
}

// makeGroups makes a control group in all hierarchies and returns the directories that it made.
func makeGroups(name string) (made []string, err error) {
	parents := []string{"/sys/fs/cgroup"} // of version 2
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		files, err := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
		if err != nil || len(files) == 0 {
			return nil, errors.Join(errors.New("nothing in /sys/fs/cgroup"), err)
		}
		parents = nil
		for _, file := range files {
			parents = append(parents, filepath.Dir(file))
		}
	}
	for _, parent := range parents {
		dir := filepath.Join(parent, name)
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue // parent is a link to another one: two controllers share a hierarchy
		}
		if err != nil {
			return made, err
		}
		made = append(made, dir)
	}
	return made, nil
}

// removeGroup removes a control group with those below it. Processes that were killed leave them a moment later.
func removeGroup(dir string) error {
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	for _, group := range slices.Backward(all) {
		err = errors.Join(err, os.Remove(group))
	}
	return err
}
