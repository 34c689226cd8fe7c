package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"ociproxy/internal/config/edit"
)

// Each way in which a file cannot be written has its own remedy.
func TestWriteHint(t *testing.T) {
	hints := map[string]bool{}
	for _, err := range []error{edit.ErrChanged, syscall.EROFS, fs.ErrPermission, syscall.ENOSPC} {
		hints[writeHint(fmt.Errorf("write: %w", err))] = true
	}
	if len(hints) != 4 || writeHint(syscall.EBUSY) != writeHint(syscall.EROFS) || hints[""] {
		t.Error(hints)
	}
	if writeHint(errors.Join(errors.New("keep its owner"), syscall.EPERM)) != writeHint(fs.ErrPermission) {
		t.Error("an owner that cannot be kept has another hint")
	}
}
