package judge

import "ociproxy/internal/cli"

// Result is what a finding means for the operator.
type Result string

// These are the results, by rising severity.
const (
	OK      Result = "ok"
	Info    Result = "info"    // worth knowing; nothing to do
	Warning Result = "warning" // works, with a disadvantage: IPv6 clients, cache, resumed pulls
	Failed  Result = "error"   // clients would be harmed: do not send it traffic
)

func Paint(cell string) cli.Color {
	switch Result(cell) {
	case OK:
		return cli.Green
	case Warning:
		return cli.Yellow
	case Failed:
		return cli.Red
	case Info:
		return cli.Blue
	}
	return cli.Plain
}
