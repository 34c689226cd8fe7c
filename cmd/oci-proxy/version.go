package main

import "ociproxy/internal/cli"

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version string

// thisBuild is what this binary was made from.
func thisBuild() cli.Build { return cli.ThisBuild(version) }
