package main

import "ociproxy/internal/cli"

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version string

// thisBuild describes the build of this binary.
func thisBuild() cli.Build { return cli.ThisBuild(version) }
