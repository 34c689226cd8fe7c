package parts

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"testing"
)

// Ports are drawn below the kernel's ephemeral range (32768 and up). So no outgoing connection of another process takes
// a port between the moment it is found free and the moment a server listens on it.
const firstPort, lastPort = 20000, 32000

// FreeAddr returns a loopback address host:port that is free and that no running test process on this machine has been
// given, this one included. The host is always 127.0.0.1: clients refuse redirects between spellings of the same host.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if !claim(fmt.Sprintf("port/%d", port)) {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(fmt.Errorf("release %s: %w", addr, err))
		}
		return addr
	}
	t.Fatalf("no free port in %d-%d", firstPort, lastPort)
	return ""
}

// claim takes a name for this process until the process ends, however it ends. It reports whether the name was free in
// this and all other processes. The claim is a socket without a file (Linux's abstract names), so the kernel releases
// it.
func claim(name string) bool {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: "@ociproxy/test/" + name}); err != nil {
		_ = syscall.Close(fd)
		return false
	}
	return true // fd stays open
}
