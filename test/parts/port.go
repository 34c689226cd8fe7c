package parts

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Ports are drawn below the kernel's ephemeral range (32768 and up), so that no outgoing connection of another
// process takes one between the moment it is found free and the moment a server listens on it.
const firstPort, lastPort = 20000, 32000

var ports = struct {
	sync.Mutex
	given map[int]bool
}{given: map[int]bool{}}

// FreeAddr returns a loopback address host:port on which nothing listens and which this process has not given out
// before. Always 127.0.0.1: clients refuse redirects between spellings of the same host.
func FreeAddr(t testing.TB) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if ports.given[port] {
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
		ports.given[port] = true
		return addr
	}
	t.Fatalf("no free port in %d-%d", firstPort, lastPort)
	return ""
}
