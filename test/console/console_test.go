package console

import (
	"testing"

	"ociproxy/test/browser"
	"ociproxy/test/parts"
)

func TestSlowConsole(t *testing.T) {
	parts.Slow(t)
	d := startDemo(t)
	b := browser.Start(t, rebound, evil)
	t.Run("attacks", func(t *testing.T) { attacks(t, b, d, "metrics", "metrics") })
	mark := d.process.Output.Mark()
	d.turn(t, "aws-us-east-1")
	d.noticed(t, mark, "aws-us-east-1", "ejected")
}
