// Command kontor deploys container image repositories, and is their registry.
// Run `kontor -h` for its commands.
package main

import (
	"os"

	"github.com/kontor-registry/kontor/internal/cli"
	_ "github.com/kontor-registry/kontor/internal/latergc" // commands start faster
)

func main() {
	trustFallback()
	os.Exit(cli.Main(os.Args))
}
