package systemd

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("SYSTEMD_TEST_CHILD") != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

// child is a process that inherits sockets. It prints which sockets it got, and what its own children would see of
// them.
func child() {
	sockets, err := Inherit("clients", "admin")
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	var names []string
	for name, l := range sockets {
		names = append(names, name+"="+l.Addr().String())
	}
	slices.Sort(names)
	fmt.Println("sockets:", strings.Join(names, " "))
	again, err := Inherit("clients", "admin")
	fmt.Println("again:", len(again), err)
	out, err := exec.Command("/bin/sh", "-c", `echo "child: ${LISTEN_FDS-none} ${LISTEN_PID-none} ${LISTEN_FDNAMES-none}"`).Output()
	fmt.Printf("%s%v\n", out, err)
}

// run runs this program as a service manager does, with files from number 3 on. pid becomes LISTEN_PID, the process
// that the sockets are for; "$$" is the right one.
func run(t *testing.T, pid, names string, files ...*os.File) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `LISTEN_PID=`+pid+` exec "$0"`, self)
	cmd.Env = append(os.Environ(), "SYSTEMD_TEST_CHILD=1", "GORACE=atexit_sleep_ms=0", fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+names)
	cmd.ExtraFiles = files
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// tcp opens a listening socket.
func tcp(t *testing.T) *os.File {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return fileOf(t, l.(*net.TCPListener))
}

type filer interface {
	File() (*os.File, error)
	Close() error
}

func fileOf(t *testing.T, from filer) *os.File {
	t.Helper()
	f, err := from.File()
	if err != nil {
		t.Fatal(err)
	}
	from.Close()
	t.Cleanup(func() { f.Close() })
	return f
}

func TestInherit(t *testing.T) {
	a, b := tcp(t), tcp(t)
	for _, tt := range []struct {
		what, pid, names string
		files            []*os.File
		want             []string
	}{
		{"both", "$$", "clients:admin", []*os.File{a, b}, []string{"sockets: admin=127.0.0.1:", " clients=127.0.0.1:"}},
		{"in the other order", "$$", "admin:clients", []*os.File{a, b}, []string{"sockets: admin=127.0.0.1:", " clients=127.0.0.1:"}},
		{"one without a name", "$$", "", []*os.File{a}, []string{"sockets: clients="}},
		{"one that is named after its unit", "$$", "oci-proxy.socket", []*os.File{a}, []string{"sockets: clients="}},
		{"one of systemd-socket-activate without a name", "$$", "unknown", []*os.File{a}, []string{"sockets: clients="}},
		{"admin alone", "$$", "admin", []*os.File{a}, []string{"sockets: admin="}},
		{"of another process", "1", "clients", []*os.File{a}, []string{"sockets: \n"}},
		{"none", "$$", "", nil, []string{"sockets: \n"}},
		{"unknown name", "$$", "web", []*os.File{a}, []string{"error: socket 3 (web)", "FileDescriptorName=clients or admin"}},
		{"two without names", "$$", "x.socket:x.socket", []*os.File{a, b}, []string{"error: socket 3 (x.socket)", "socket 4 (x.socket)"}},
		{"twice the same name", "$$", "clients:clients", []*os.File{a, b}, []string{"error: socket 4 (clients)", "another socket has this name"}},
		{"one too many", "$$", "clients:admin:metrics", []*os.File{a, b, a}, []string{"error: socket 5 (metrics)", "unknown name"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			out := run(t, tt.pid, tt.names, tt.files...)
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if strings.Contains(out, "sockets:") && (!strings.Contains(out, "child: none none none\n") || !strings.Contains(out, "again: 0 <nil>\n")) {
				t.Errorf("the sockets are still announced:\n%s", out)
			}
		})
	}
}

// TestWrongSockets: a server refuses each kind of socket from which it cannot accept TCP connections, and says what to
// do.
func TestWrongSockets(t *testing.T) {
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	// A short name, because t.TempDir may be too long for a socket.
	local, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(short(t), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	peer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	conn, err := net.Dial("tcp", peer.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	pipe, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	for what, tt := range map[string]struct {
		file *os.File
		want string
	}{
		"UDP":       {fileOf(t, udp), "it takes datagrams: use ListenStream="},
		"unix":      {fileOf(t, local), "it is no TCP socket: use ListenStream="},
		"connected": {fileOf(t, conn.(*net.TCPConn)), "it does not listen: set Accept=no"},
		"bound":     {bound(t), "it does not listen: set Accept=no"},
		"pipe":      {pipe, "it is no socket: use ListenStream="},
	} {
		out := run(t, "$$", "clients", tt.file)
		if !strings.Contains(out, "error: socket 3 (clients) of the service manager: "+tt.want) {
			t.Errorf("%s: %s", what, out)
		}
	}
	pipe.Close()
}

func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// bound returns a TCP socket that has an address but does not listen.
func bound(t *testing.T) *os.File {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "bound")
	t.Cleanup(func() { f.Close() })
	return f
}

// TestBacklog: as many connections may wait at a passed socket as at one that Go opens, whatever backlog it was made
// with. With a queue for one, the kernel would drop the handshakes of the others.
func TestBacklog(t *testing.T) {
	f := bound(t)
	if err := syscall.Listen(int(f.Fd()), 1); err != nil {
		t.Fatal(err)
	}
	dup, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := listeners([]*os.File{os.NewFile(uintptr(dup), "clients")}, []string{"clients"})
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	for i := range 50 {
		conn, err := net.DialTimeout("tcp", sockets["clients"].Addr().String(), 10*time.Second)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
	}
}

// TestMissed: sockets for another process are ignored, as sd_listen_fds(3) wants it, but the process says so.
func TestMissed(t *testing.T) {
	for pid, missed := range map[string]bool{"": false, fmt.Sprint(os.Getpid()): false, "1": true, "nonsense": true} {
		if got := Missed(func(string) string { return pid }); (got != "") != missed || missed && !strings.Contains(got, pid) {
			t.Errorf("LISTEN_PID %q: %q", pid, got)
		}
	}
}
