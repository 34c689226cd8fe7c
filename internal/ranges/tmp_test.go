package ranges

import (
	"fmt"
	"testing"
)

func TestTmp(t *testing.T) {
	r := mustNew(t, realFeeds(t), Options{})
	for _, s := range r.Status() {
		fmt.Printf("%+v\n", s)
	}
	fmt.Println(r.Table().Len())
}
