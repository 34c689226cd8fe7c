//go:build !unix

package inventory

import (
	"errors"
	"os"
)

func mapFile(*os.File, int) ([]byte, error) { return nil, errors.ErrUnsupported }

func reserve(n int) ([]byte, error) { return make([]byte, n), nil }

func unmap([]byte) error { return nil }
