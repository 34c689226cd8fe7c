package process

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
)

// Measure runs this program once more with other arguments, so that its memory and CPU time are those of one thing. It
// returns the figures that it printed: a line each, a name and a number.
func Measure(ctx context.Context, args ...string) (map[string]float64, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := Command(ctx, self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	got := map[string]float64{}
	for line := range strings.Lines(string(out)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if got[name], err = strconv.ParseFloat(text, 64); err != nil {
			return nil, err
		}
	}
	if len(got) == 0 {
		return nil, errors.New("nothing was measured")
	}
	return got, nil
}
