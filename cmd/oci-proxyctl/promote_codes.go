package main

import (
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
)

// The meaning of the exit codes of the promote commands. They are stable, because scripts depend on them.
var (
	invalidInput = cli.ExitCode{Code: cli.CodeInvalid, Means: "the manifests or the config are invalid: nothing can be promoted"}

	planClasses = []cli.ExitCode{
		{Code: 1, Means: "a tag exists with another digest"},
		{Code: 2, Means: "a digest is gone from everywhere"},
		{Code: 4, Means: "a registry could not be read"},
	}
	appliedClasses = []cli.ExitCode{
		planClasses[0], planClasses[1],
		{Code: 4, Means: "a registry could not be read or written"},
		{Code: 8, Means: "too few stores hold an image"},
		{Code: 16, Means: "a policy forbids an image"},
	}
	heldClass   = cli.ExitCode{Code: 128, Means: "projects are held back because their manifests have errors"}
	planEnds    = []cli.ExitCode{{Code: 32, Means: "the rest can be done, or is in place"}, {Code: 64, Means: "nothing else can be done"}}
	appliedEnds = []cli.ExitCode{{Code: 32, Means: "the rest is done, or in place"}, {Code: 64, Means: "nothing else was done"}}
)

func planExits(cmd *cobra.Command) {
	cli.ExitsSum(cmd, cli.Sum{Classes: append(planClasses[:3:3], heldClass), Ends: planEnds},
		cli.ExitCode{Code: cli.CodeOK, Means: "nothing is wrong, whether there is something to do or not"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "the plan could not be made or written"}, invalidInput)
}

func applyExits(cmd *cobra.Command) {
	appliedExits(cmd, "With --dry-run the code is that of promote plan.")
}

func runExits(cmd *cobra.Command) {
	appliedExits(cmd, "Without --confirm the code is that of promote plan.")
}

func appliedExits(cmd *cobra.Command, note string) {
	cli.ExitsSum(cmd, cli.Sum{Classes: append(appliedClasses[:5:5], heldClass), Ends: appliedEnds, Note: note},
		cli.ExitCode{Code: cli.CodeOK, Means: "everything is done, or there was nothing to do: the report says which"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "the run did not begin (another one has the lease, or the plan file is damaged) or was " +
			"interrupted: what was\ndone stays, and the same command continues from there"}, invalidInput)
}

func checkExits(cmd *cobra.Command) {
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "the manifests are valid; there may be warnings"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "there are no manifests, or they cannot be read"},
		cli.ExitCode{Code: cli.CodeInvalid, Means: "there are errors or, with --strict, warnings"})
}

func fmtExits(cmd *cobra.Command) {
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "done; with --check: nothing differs"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "a file could not be read or written"},
		cli.ExitCode{Code: cli.CodeInvalid, Means: "a file has errors and was not changed"},
		cli.ExitCode{Code: cli.CodeDifferent, Means: "with --check: files differ"})
}

func signExits(cmd *cobra.Command) {
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "every image that is in place has our signature"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "nothing could be signed or read"},
		cli.ExitCode{Code: cli.CodeInvalid, Means: "the manifests are invalid: nothing can be promoted"},
		cli.ExitCode{Code: cli.CodePartial, Means: "an image or a repository could not be signed or read, or projects " +
			"are held back\nbecause their manifests have errors; the rest is signed"})
}

func snapshotExits(cmd *cobra.Command) {
	cli.Exits(cmd,
		cli.ExitCode{Code: cli.CodeOK, Means: "the snapshot has everything that the registry lists; there may be warnings about what it does not list"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "the registry cannot be read, cannot list, or has nothing there"})
}

func proveExits(cmd *cobra.Command) {
	cli.ExitsSum(cmd, cli.Sum{Classes: []cli.ExitCode{
		{Code: 1, Means: "a registry or store did not answer, a project is held back because its manifests have errors, " +
			"or\nsomething else failed"},
		{Code: 4, Means: "unexpected: a destination has something that no manifest lists"},
		{Code: 8, Means: "missing: a digest, a tag, or a part of an image is not in a destination"},
		{Code: 16, Means: "moved: a tag has another digest"},
		{Code: 32, Means: "altered: what a registry sends does not have the digest"},
		{Code: 64, Means: "unsigned: no signature of a key of --signed-with in the first destination of a project"},
		{Code: 128, Means: "unstored: the inventory of a store does not list all blobs of an image"},
	}}, cli.ExitCode{Code: cli.CodeOK, Means: "nothing was found"}, invalidInput)
}
