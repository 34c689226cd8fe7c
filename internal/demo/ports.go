package demo

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"ociproxy/internal/cli"
)

// opener opens the next port of the demo.
type opener func(ctx context.Context) (net.Listener, error)

// listenLoopback opens a free port on loopback.
func listenLoopback(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp4", "127.0.0.1:0")
}

// publishedPorts is how many ports a published demo needs: proxy, front, admin port, two upstreams, five stores.
const publishedPorts = 10

// inARow opens one port after the other from first on, on every address of this machine.
//
// It is for a container. The clients are on the container's host, and the container has a loopback of its own. So the
// demo listens on every address, and the host publishes each port under the same number on its own loopback. All
// addresses that the demo prints are on loopback: they work for clients on the host, and inside the container for the
// proxy.
func inARow(first uint16) opener {
	next := first
	return func(ctx context.Context) (net.Listener, error) {
		port := next
		next++
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp4", fmt.Sprintf("0.0.0.0:%d", port))
		if err != nil {
			hint := fmt.Sprintf("choose other ports with --listen: it needs %d in a row", publishedPorts)
			return nil, cli.Fail(hint, "%w", err)
		}
		return told{ln, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}}, nil
	}
}

// told is a listener that clients reach under another address than its own.
type told struct {
	net.Listener
	addr net.Addr
}

// Addr implements [net.Listener].
func (t told) Addr() net.Addr { return t.addr }

// firstPort returns the first port of a published demo.
func firstPort(address string) (uint16, error) {
	addr, err := netip.ParseAddrPort(address)
	if err != nil || !addr.Addr().IsLoopback() || addr.Port() == 0 || int(addr.Port())+publishedPorts > 1<<16 {
		return 0, cli.Usage("name the address where the host publishes the first port: 127.0.0.1:5050",
			"listen %q: not an address on loopback with %d ports", address, publishedPorts)
	}
	return addr.Port(), nil
}
