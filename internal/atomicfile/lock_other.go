//go:build !unix || solaris || illumos || aix

package atomicfile

import (
	"errors"
	"os"
)

// tryLock always fails, because there are no locks. So nothing is swept.
func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }

// nameless reports whether a process can still use a file after its name is removed.
const nameless = false
