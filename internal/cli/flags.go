package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// These are the places of the config when --config is not given.
const (
	DefaultConfig  = "/etc/oci-proxy/config.yaml"
	ConfigVariable = "OCI_PROXY_CONFIG" // this environment variable names another default
)

// ConfigPath returns the default of --config: the file that the environment names, otherwise [DefaultConfig].
func ConfigPath(getenv func(string) string) string {
	if file := getenv(ConfigVariable); file != "" {
		return file
	}
	return DefaultConfig
}

// ConfigFlag adds --config to cmd, for a command that needs a config or can use one.
func ConfigFlag(cmd *cobra.Command, file *string, getenv func(string) string) {
	cmd.Flags().StringVarP(file, "config", "c", ConfigPath(getenv),
		"config `file`; the environment variable "+ConfigVariable+" changes the default")
	// The flag has just been defined, so no error is possible.
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// OptionalConfigFlag adds --config to a command that can work without a config. When neither the flag nor the
// environment names a file, and there is none at [DefaultConfig], file is "". An empty --config has the same effect.
func OptionalConfigFlag(cmd *cobra.Command, file *string, getenv func(string) string) {
	ConfigFlag(cmd, file, getenv)
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		if !cmd.Flags().Changed("config") && getenv(ConfigVariable) == "" && missing(*file) {
			*file = ""
		}
	}
}

func missing(file string) bool {
	_, err := os.Stat(file)
	return errors.Is(err, fs.ErrNotExist)
}

const outputUsage = "`format` of the output: text or json"

// OutputFlag adds --output to cmd. more are formats that this command has besides those of every command.
func OutputFlag(cmd *cobra.Command, format *Format, more ...Format) {
	w := wider{Format: format}
	for _, m := range more {
		w.more = append(w.more, string(m))
	}
	var value pflag.Value = format
	if len(more) > 0 {
		value = w
	}
	cmd.Flags().VarP(value, "output", "o", w.usage())
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(append(Formats(), w.more...), cobra.ShellCompDirectiveNoFileComp))
}

// FormerFlag lets cmd accept a flag by its former name, which help does not list.
func FormerFlag(cmd *cobra.Command, former, name string) {
	f := cmd.Flags()
	next := f.GetNormalizeFunc()
	f.SetNormalizeFunc(func(set *pflag.FlagSet, text string) pflag.NormalizedName {
		if text == former {
			text = name
		}
		return next(set, text)
	})
}

// FlagFaults returns the flags of the commands of root that differ from a flag of another command with the same name or
// letter. One name must have one meaning, one help text, one default and one type. Tests of both programs require it to
// be empty. --output may have more formats in one command than in another: it still means the same.
func FlagFaults(root *cobra.Command) (faults []string) {
	names, letters := map[string]string{}, map[string]string{}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden || f.Name == "help" || f.Name == "version" {
				return // former names, and cobra's own flags, whose text has the command's name
			}
			letter := f.Shorthand
			usage := f.Usage
			if w, ok := f.Value.(wider); ok && usage == w.usage() {
				usage = outputUsage
			}
			is := fmt.Sprintf("-%s %s (%s) %q", letter, f.Value.Type(), f.DefValue, usage)
			if was, known := names[f.Name]; known && was != is {
				faults = append(faults, fmt.Sprintf("%s --%s is %s, elsewhere %s", cmd.CommandPath(), f.Name, is, was))
			}
			names[f.Name] = is
			if was, known := letters[letter]; letter != "" && known && was != f.Name {
				faults = append(faults, fmt.Sprintf("%s -%s is --%s, elsewhere --%s", cmd.CommandPath(), letter, f.Name, was))
			}
			letters[letter] = f.Name
		})
		for _, below := range cmd.Commands() {
			walk(below)
		}
	}
	walk(root)
	slices.Sort(faults)
	return faults
}
