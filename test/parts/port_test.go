package parts

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// An address that one process has been given is not given to another, even if nothing listens there yet. When the
// process has ended, the address is free.
func TestFreeAddrAcrossProcesses(t *testing.T) {
	if os.Getenv("PARTS_HOLD") != "" {
		_, _ = os.Stdout.WriteString("addr " + FreeAddr(t) + "\n")
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFreeAddrAcrossProcesses$")
	cmd.Env = append(os.Environ(), "PARTS_HOLD=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "addr ")
	if err != nil || !ok {
		t.Fatalf("it said %q, %v", line, err)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	if claim("port/" + port) {
		t.Errorf("%s is given twice", addr)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if !claim("port/" + port) {
		t.Errorf("%s stays taken after the process has ended", addr)
	}
}
