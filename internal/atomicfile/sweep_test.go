package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain is also the process that is killed. If a directory is in its environment, it makes one of each kind there,
// prints "ready", and waits.
func TestMain(m *testing.M) {
	dir := os.Getenv("ATOMICFILE_TEST_LIVE")
	if dir == "" {
		m.Run()
		return
	}
	f, err := Create(filepath.Join(dir, "deep", "file"), 0o644)
	_, werr := f.Write([]byte("half"))
	sealed, serr := Create(filepath.Join(dir, "sealed"), 0o644)
	d, derr := makeScratchDir(dir, "scratch-")
	s, ferr := Scratch(dir, "spool")
	if err := errors.Join(err, werr, serr, sealed.Seal(), derr, ferr, os.WriteFile(filepath.Join(d.Path, "x"), nil, 0o600)); err != nil {
		fmt.Println(err)
		return
	}
	_, _ = s.Write([]byte("x"))
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // until the process is killed
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			list = append(list, path[len(dir)+1:])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// The uncommitted files of a process stay while it lives, and are removed after it was killed. Other names always
// stay.
func TestSweep(t *testing.T) {
	probe, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	if _, err := tryLock(probe); err != nil {
		t.Skip("no locks here: ", err)
	}
	dir := t.TempDir()
	others := []string{".app.log.1", ".deep.7x", ".hidden", ".history.2", ".x.20261129", ".x.ociproxy-1a", "a.12", "deep/..12", "deep/.state.7", "deep/file", "deep/file.12", "scratch-x/y", "x.ociproxy-1"}
	for _, sub := range []string{"deep", "scratch-x"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range others {
		put(t, filepath.Join(dir, name), "theirs")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ATOMICFILE_TEST_LIVE="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("%s, %v", line, err)
	}
	sweep := func() {
		t.Helper()
		SweepTree(dir)
		SweepFor(filepath.Join(dir, "deep", "file"))
		d, err := makeScratchDir(dir, "scratch-")
		if err == nil {
			err = d.Remove()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sweep()
	if got := names(t, dir); len(got) != len(others)+3 { // the nameless file is not visible
		t.Errorf("of a live process: %v", got)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	SweepFor(filepath.Join(dir, "deep", "fil"))
	if got := names(t, dir); len(got) != len(others)+3 {
		t.Errorf("swept for another name: %v", got)
	}
	SweepFor(filepath.Join(dir, "deep", "file"))
	if got := names(t, dir); len(got) != len(others)+2 {
		t.Errorf("swept for its name: %v", got)
	}
	sweep()
	if d := cmp.Diff(others, names(t, dir)); d != "" {
		t.Errorf("after it was killed (-want +got):\n%s", d)
	}
}

// Sweeping and writing at the same time must never remove a file that is being written.
func TestSweepWhileWriting(t *testing.T) {
	dir := t.TempDir()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			if err := Write(filepath.Join(dir, fmt.Sprint("file", i%3)), []byte("text"), 0o600); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		SweepTree(dir)
		select {
		case <-done:
			SweepTree(dir)
			if got := names(t, dir); len(got) != 3 {
				t.Errorf("left: %v", got)
			}
			return
		default:
		}
	}
}

// Only this package makes temporary files: other code would leave its files behind when it is killed.
func TestNobodyElseMakesTemporaryFiles(t *testing.T) {
	for _, tree := range []string{"../../cmd", "../../internal"} {
		err := filepath.WalkDir(tree, func(path string, e os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
				filepath.Dir(path) == filepath.Join(tree, "atomicfile") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, call := range []string{"os.CreateTemp(", "os.MkdirTemp(", "ioutil.Temp"} {
				if strings.Contains(string(text), call) {
					t.Errorf("%s: %s", path, call)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
