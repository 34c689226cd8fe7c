package main

import (
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
)

// What the exit codes of the commands of promote mean. They are stable: scripts depend on them.
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
	heldClass   = cli.ExitCode{Code: 128, Means: "projects are held back, for their manifests are faulty"}
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
		cli.ExitCode{Code: cli.CodeFailure, Means: "the run did not begin (another one has the lease, or the plan is not whole) " +
			"or was interrupted: what was\ndone until then is kept, and the same command goes on from there"}, invalidInput)
}

func checkExits(cmd *cobra.Command) {
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "the manifests are valid; there may be warnings"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "there are none, or they cannot be read"},
		cli.ExitCode{Code: cli.CodeInvalid, Means: "there are errors; with --strict: or warnings"})
}

func fmtExits(cmd *cobra.Command) {
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "done; with --check: nothing differs"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "a file could not be read or written"},
		cli.ExitCode{Code: cli.CodeInvalid, Means: "a file has faults, and was left alone"},
		cli.ExitCode{Code: cli.CodeDifferent, Means: "with --check: files differ"})
}

func signExits(cmd *cobra.Command) {
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "every image that is in place has our signature"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "nothing could be signed or read"},
		cli.ExitCode{Code: cli.CodeInvalid, Means: "the manifests are invalid: nothing of them can be promoted"},
		cli.ExitCode{Code: cli.CodePartial, Means: "an image or a repository could not be signed or read, or projects " +
			"are held back, for their manifests are\nfaulty; the rest is signed"})
}

func snapshotExits(cmd *cobra.Command) {
	cli.Exits(cmd,
		cli.ExitCode{Code: cli.CodeOK, Means: "the snapshot is whole, as far as the registry lists; what it does not list is warned of"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "the registry cannot be read or lists nothing, or nothing is there"})
}

func proveExits(cmd *cobra.Command) {
	cli.ExitsSum(cmd, cli.Sum{Classes: []cli.ExitCode{
		{Code: 1, Means: "a registry or store did not answer, or a project is held back, for its manifests are faulty: " +
			"nobody knows; or\nsomething else failed"},
		{Code: 4, Means: "unexpected: a destination has what no manifest lists"},
		{Code: 8, Means: "missing: a digest, a tag, or a part of an image is not in a destination"},
		{Code: 16, Means: "moved: a tag has another digest"},
		{Code: 32, Means: "altered: what a registry sends is not what the digest says"},
		{Code: 64, Means: "unsigned: no signature of a key of --key in the first destination of a project"},
		{Code: 128, Means: "unstored: the inventory of a store lacks blobs of an image"},
	}}, cli.ExitCode{Code: cli.CodeOK, Means: "nothing was found"}, invalidInput)
}
