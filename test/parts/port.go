package parts

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
)

// Ports are drawn below the kernel's ephemeral range (32768 and up). So no outgoing connection of another process takes
// a port between the moment it is found free and the moment a server listens on it.
const firstPort, lastPort = 20000, 32000

// Host is the IP address on which the servers of the tests listen. It is always the same one, because clients refuse
// redirects between spellings of the same host.
func Host() string {
	if inside() {
		return apartHost
	}
	return "127.0.0.1"
}

// FreeAddr returns an address host:port on [Host] that is free and that no running test process on this machine has been
// given, this one included.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort(Host(), strconv.Itoa(FreePorts(t, 1)))
}

// FreePorts is FreeAddr for n ports in a row. It returns the first.
func FreePorts(t testing.TB, n int) int {
	t.Helper()
	for range 1000 {
		first := firstPort + rand.IntN(lastPort-firstPort-n+1)
		for i := 0; free(t, first+i); i++ {
			if i == n-1 {
				return first
			}
		}
	}
	t.Fatalf("no %d free ports in a row in %d-%d", n, firstPort, lastPort)
	return 0
}

func free(t testing.TB, port int) bool {
	t.Helper()
	if !claim(fmt.Sprintf("port/%d", port)) {
		return false
	}
	l, err := net.Listen("tcp", net.JoinHostPort(Host(), strconv.Itoa(port)))
	if err != nil {
		return false
	}
	if err := l.Close(); err != nil {
		t.Fatal(fmt.Errorf("release port %d: %w", port, err))
	}
	return true
}

// Hold opens a listening socket on the address and keeps it until the test ends, as a service manager does.
func Hold(t testing.TB, addr string) *os.File {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
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
