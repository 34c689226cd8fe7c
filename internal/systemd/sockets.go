package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// first is the number of the first passed file (SD_LISTEN_FDS_START).
const first = 3

// Sockets are the listening TCP sockets that the manager passed, by name.
type Sockets map[string]net.Listener

// Inherit takes the sockets that were passed to this process. It takes at most one socket for each of names. A single
// socket without a name gets names[0]. Without passed sockets it returns none. It removes the sockets from the
// environment, so that no child process takes them as its own: call Inherit once.
//
// A socket that cannot be used gives an error that says what to change in the socket unit. Inherit closes all sockets
// then.
func Inherit(names ...string) (Sockets, error) {
	return listeners(activation.Files(true), names)
}

// Missed says why this process does not get the sockets that the environment names. It is "" when the process gets
// them, or when there are none. Call it before [Inherit].
func Missed(env func(string) string) string {
	pid, own := env("LISTEN_PID"), strconv.Itoa(os.Getpid())
	if pid == "" || pid == own {
		return ""
	}
	return "LISTEN_PID is " + pid + ", and this process is " + own
}

func listeners(files []*os.File, names []string) (Sockets, error) {
	defer func() {
		for _, f := range files {
			f.Close() // the listener has a copy
		}
	}()
	all := Sockets{}
	var faults []error
	for i, f := range files {
		name := f.Name()
		if len(files) == 1 && unnamed(name) {
			name = names[0]
		}
		l, err := listen(f, name, names)
		if err == nil && all[name] != nil {
			_ = l.Close()
			err = errors.New("another socket has this name, and one is used: a socket on [::] takes IPv4 connections too")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("socket %d (%s) of the service manager: %w", first+i, f.Name(), err))
			continue
		}
		all[name] = l
	}
	if len(faults) > 0 {
		all.Close()
		return nil, errors.Join(faults...)
	}
	return all, nil
}

// Close closes the sockets in this process. The manager keeps its own.
func (s Sockets) Close() {
	for _, l := range s {
		_ = l.Close()
	}
}

// unnamed reports whether a socket has the name that systemd, systemd-socket-activate or package activation gives to a
// socket whose unit has no FileDescriptorName=.
func unnamed(name string) bool {
	return strings.HasSuffix(name, ".socket") || name == "unknown" || strings.HasPrefix(name, "LISTEN_FD_")
}

// backlog is how many connections may wait in the kernel. A socket that Go opens has the same number. The kernel takes
// fewer when net.core.somaxconn is lower.
const backlog = 1<<16 - 1

// listen makes a listener of a passed file.
func listen(f *os.File, name string, names []string) (net.Listener, error) {
	if !slices.Contains(names, name) {
		return nil, fmt.Errorf("unknown name: write FileDescriptorName=%s into its unit", strings.Join(names, " or "))
	}
	raw, err := f.SyscallConn() // f.Fd would make it blocking, also for other processes
	if err != nil {
		return nil, err
	}
	var fault error
	if err := raw.Control(func(fd uintptr) { fault = usable(int(fd)) }); err != nil {
		return nil, err
	}
	if fault != nil {
		return nil, fault
	}
	return net.FileListener(f)
}

// usable says why a server cannot accept TCP connections from fd. It also gives fd the backlog of sockets that Go
// opens.
func usable(fd int) error {
	kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	switch {
	case errors.Is(err, syscall.ENOTSOCK):
		return errors.New("it is no socket: use ListenStream= in its unit")
	case err != nil:
		return err
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("its address: %w", err)
	}
	switch addr.(type) {
	case *syscall.SockaddrInet4, *syscall.SockaddrInet6:
	default:
		return errors.New("it is no TCP socket: use ListenStream= with a port, or with an IP address and a port")
	}
	if kind != syscall.SOCK_STREAM {
		return errors.New("it takes datagrams: use ListenStream= in place of ListenDatagram=")
	}
	if on, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || on == 0 {
		return errors.New("it does not listen: set Accept=no in its unit, so that the server accepts the connections")
	}
	if err := syscall.Listen(fd, backlog); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}
