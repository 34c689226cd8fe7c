// Package systemd takes the sockets that a service manager passes to this process, and tells the manager what the
// process does.
//
// It knows the protocols of sd_listen_fds(3) and sd_notify(3), which other managers and systemd-socket-activate speak
// too. It must not know what a socket is for, or when a server is ready. It imports nothing of this module.
package systemd
