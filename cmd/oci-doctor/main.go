// Command oci-doctor says why pulls from a registry fail on the machine that runs it. See oci-doctor --help.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/doctor"
	"ociproxy/internal/outbound"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var format cli.Format
	err := cli.Execute(ctx, command(stdout, stderr, &format), args)
	return cli.Report(stderr, "oci-doctor", format, err)
}

// flags are those of the command.
type flags struct {
	image   string
	timeout time.Duration
	script  bool
}

func command(stdout, stderr io.Writer, format *cli.Format) *cobra.Command {
	var f flags
	build := cli.ThisBuild(version)
	cmd := &cobra.Command{
		Use:   "oci-doctor [http://]NAME[/REPOSITORY[:TAG|@DIGEST]]",
		Short: "Find out why pulls from a registry fail on this machine",
		Long: fmt.Sprintf(`oci-doctor tries what a container runtime does when it pulls from the registry NAME, step by
step: names, IPv4 and IPv6, the proxy of the environment, TLS, the registry's answers, redirects,
a layer and parts of it. It says in one sentence what to open or to fix. Below it is a table of
everything that was tried.

It tries every host that the registry publishes in its list of endpoints. Without a list it tries
the hosts to which the registry redirects. Give an image, so that it can read a layer. Write http://
before NAME for plain HTTP, which is the default for 127.0.0.1 and localhost.

Run it on the machine that pulls, as the runtime runs: with the same HTTPS_PROXY and NO_PROXY. It
needs no root. It reads no credentials, and sends none but those in HTTPS_PROXY, to that proxy. It
takes at most %d times the time of --timeout, and reads at most %s.`,
			int(new(doctor.Options).MaxTime()/doctor.DefaultTimeout), humanize.IBytes(doctor.MaxBytes)),
		Example: `  oci-doctor registry.example.org
  oci-doctor registry.example.org/sample/app:1.0
  oci-doctor registry.example.org --image sample/app:1.0 --timeout 10s --output json
  oci-doctor http://registry.example.org:5000/sample/app:1.0
  oci-doctor --print-script > oci-doctor.sh && sh oci-doctor.sh registry.example.org/sample/app:1.0`,
		Args: cobra.MaximumNArgs(1),

		SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.script {
				_, err := io.WriteString(stdout, doctor.Script)
				return err
			}
			target, err := f.target(args)
			if err != nil {
				return err
			}
			for _, fault := range outbound.EnvironmentFaults() {
				return cli.Fail("correct the variable, or unset it", "the environment's %w", fault)
			}
			roots, err := outbound.Roots()
			if err != nil {
				return err
			}
			report := doctor.Examine(cmd.Context(), target, doctor.Options{
				Timeout: f.timeout, Roots: roots, UserAgent: "oci-doctor/" + build.Version,
			})
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if err := report.Write(stdout, *format, cli.UseColor(stdout, os.Getenv)); err != nil {
				return err
			}
			if report.ExitCode != cli.CodeOK {
				return cli.Exit(report.ExitCode)
			}
			return nil
		},
	}
	cli.VersionFlag(cmd, build)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	cmd.SetHelpTemplate(cmd.HelpTemplate() + cli.ExitsHelp)
	set := cmd.Flags()
	set.StringVar(&f.image, "image", "", "`image` to read, without the registry's name: REPOSITORY[:TAG|@DIGEST]")
	set.DurationVar(&f.timeout, "timeout", doctor.DefaultTimeout, "`time` for one step")
	set.BoolVar(&f.script, "print-script", false, "print the script that needs only sh and curl, and end")
	cli.OutputFlag(cmd, format)
	cli.Exits(cmd,
		cli.ExitCode{Code: cli.CodeOK, Means: "all is well"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "a fault of this machine or its network, or failure of oci-doctor itself"},
		cli.ExitCode{Code: cli.CodeDifferent, Means: "machine and network are well: the registry is at fault, or has no such image"})
	return cmd
}

const (
	leastTimeout = 100 * time.Millisecond
	mostTimeout  = time.Minute
)

func (f *flags) target(args []string) (doctor.Target, error) {
	if len(args) == 0 {
		return doctor.Target{}, cli.Usage("oci-doctor registry.example.org/sample/app:1.0", "name the registry")
	}
	if f.timeout < leastTimeout || f.timeout > mostTimeout {
		return doctor.Target{}, cli.Usage("5s is usual", "--timeout %s: want %s to %s", f.timeout, leastTimeout, mostTimeout)
	}
	target, err := doctor.ParseTarget(args[0])
	if err != nil {
		return target, cli.Usage("write registry.example.org, or registry.example.org/sample/app:1.0", "%w", err)
	}
	if f.image == "" {
		return target, nil
	}
	if target.Image.Name != "" {
		return target, cli.Usage("leave out --image, or the image after the registry's name", "two images are given")
	}
	if err := target.SetImage(f.image); err != nil {
		return target, cli.Usage("write sample/app:1.0", "--image: %w", err)
	}
	return target, nil
}
