//go:build !unix || solaris || illumos || aix

package atomicfile

import (
	"errors"
	"os"
)

// tryLock says that there are no locks: nothing is swept.
func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }

// nameless reports whether a file can be used on when its name is gone.
const nameless = false
