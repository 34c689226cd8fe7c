package systemd

import (
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifyVariable names the manager's socket in the environment.
const notifyVariable = "NOTIFY_SOCKET"

// notifyTimeout is how long a manager may take to receive a message.
const notifyTimeout = time.Second

// Notifier tells the service manager what the process does. The zero value sends nothing. Safe for concurrent use.
type Notifier struct {
	socket string
	failed func(error)

	mu       sync.Mutex
	ready    bool // the manager knows that the process is ready
	stopping bool
}

// NewNotifier returns a notifier for the manager that the environment names, if it names one. NewNotifier removes that
// name from the environment, so that no child process speaks for this one. It calls failed for each message that the
// manager did not get.
func NewNotifier(env func(string) string, failed func(error)) *Notifier {
	n := &Notifier{socket: env(notifyVariable), failed: failed}
	_ = os.Unsetenv(notifyVariable) // the name is valid, so there is no error
	return n
}

// Ready says that the process is ready, and in one line what it does. Call it at the start and after each reload.
func (n *Notifier) Ready(status string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return
	}
	n.ready = true
	n.send(daemon.SdNotifyReady, status)
}

// Reloading says that the process reads its configuration again. Before the process is ready, it says nothing.
func (n *Notifier) Reloading() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ready && !n.stopping {
		// Type=notify-reload wants both in one message, with the time of this moment.
		n.send(daemon.SdNotifyReloading+"\n"+strings.TrimSpace(daemon.SdNotifyMonotonicUsec()), "reading the config again")
	}
}

// Reloaded ends what Reloading began. Before the process is ready, it only sets the status.
func (n *Notifier) Reloaded(status string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.stopping:
	case n.ready:
		n.send(daemon.SdNotifyReady, status)
	default:
		n.send("", status)
	}
}

// Stopping says that the process ends.
func (n *Notifier) Stopping(status string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stopping = true
	n.send(daemon.SdNotifyStopping, status)
}

// send sends one message. n.mu is held, so that messages arrive in order.
func (n *Notifier) send(state, status string) {
	if n.socket == "" {
		return
	}
	line := "STATUS=" + strings.Join(strings.Fields(status), " ")
	if err := n.write(strings.TrimPrefix(state+"\n"+line+"\n", "\n")); err != nil && n.failed != nil {
		n.failed(err)
	}
}

func (n *Notifier) write(message string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // a datagram is sent completely or not at all
	if err := conn.SetWriteDeadline(time.Now().Add(notifyTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}
