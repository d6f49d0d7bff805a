//go:build linux

// Command yardmaster-init is the first process of a sandbox of the native driver. It is built, packed and embedded by
// go generate in package initbin, and does nothing useful when started by hand.
//
// The runtime is told not to keep files of the host's control groups open.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import "yardmaster/internal/sandbox/native/inside"

func main() { inside.Main() }
