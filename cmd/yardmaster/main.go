// Yardmaster runs a fleet of agents by talking to one. See the README.
package main

import (
	"os"

	"yardmaster/internal/cli"
)

func main() { os.Exit(cli.Main()) }
