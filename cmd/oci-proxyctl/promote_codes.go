package main

// The paragraphs about exit codes of the commands of promote: each has its own. They are stable: scripts depend on
// them.
const (
	codesUsage   = "\n  2  usage: unknown flag, missing or malformed argument"
	codesInvalid = "\n  3  the manifests are invalid: nothing of them can be promoted"

	checkCodes = `Exit codes:
  0  the manifests are valid; there may be warnings
  1  there are none, or they cannot be read` + codesUsage + `
  3  there are errors; with --strict: or warnings`

	fmtCodes = `Exit codes:
  0  done; with --check: nothing differs
  1  a file could not be read or written` + codesUsage + `
  3  a file has faults, and was left alone
  4  with --check: files differ`

	planCodes = `Exit codes:
  0  nothing is wrong, whether there is something to do or not
  1  alone: the plan could not be made or written
  2  alone: usage: unknown flag, missing or malformed argument
  3  alone: the manifests or the config are invalid: nothing can be promoted
Any other code is a sum of
    1  a tag exists with another digest
    2  a digest is gone from everywhere
    4  a registry could not be read
  128  projects are held back, for their manifests are faulty
and one of
   32  the rest can be done, or is in place
   64  nothing else can be done`

	applyCodes = appliedCodes + `
and one of
   32  the rest is done, or in place
   64  nothing else was done`

	runCodes = appliedCodes + `
  128  projects are held back, for their manifests are faulty
and one of
   32  the rest is done, or in place
   64  nothing else was done
Without --confirm the code is that of promote plan.`

	appliedCodes = `Exit codes:
  0  everything is done, or there was nothing to do: the report says which
  1  alone: the run did not begin (another one has the lease, or the plan is not whole) or was interrupted: what was
     done until then is kept, and the same command goes on from there
  2  alone: usage: unknown flag, missing or malformed argument
  3  alone: the manifests or the config are invalid: nothing can be promoted
Any other code is a sum of
    1  a tag exists with another digest
    2  a digest is gone from everywhere
    4  a registry could not be read or written
    8  too few stores hold an image
   16  a policy forbids an image`

	signCodes = `Exit codes:
  0  every image that is in place has our signature
  1  failure: nothing could be signed or read` + codesUsage + codesInvalid + `
  5  an image or a repository could not be signed or read, or projects are held back, for their manifests are faulty;
     the rest is signed`

	snapshotCodes = `Exit codes:
  0  the snapshot is whole, as far as the registry lists; what it does not list is warned of
  1  failure: the registry cannot be read or lists nothing, or nothing is there` + codesUsage
)
