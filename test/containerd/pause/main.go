// Command pause does nothing until it is killed. It holds the namespaces of a pod, as the program of that name in
// registry.k8s.io, which no test can reach.
package main

import (
	"os"
	"os/signal"
)

func main() {
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	<-interrupt
}
