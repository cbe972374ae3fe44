// Command kontor deploys container image repositories, and is their registry.
// Run `kontor -h` for its commands.
package main

import (
	"os"

	_ "golang.org/x/crypto/x509roots/fallback" // for where there are no certificate authorities, as in the image

	"github.com/kontor-registry/kontor/internal/cli"
	_ "github.com/kontor-registry/kontor/internal/latergc" // commands start faster
)

func main() { os.Exit(cli.Main(os.Args)) }
