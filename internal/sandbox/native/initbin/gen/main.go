// Command gen builds cmd/yardmaster-init for both architectures and packs it where package initbin embeds it. Run it by
// go generate, in the folder of initbin, after any change to init.
package main

import (
	"bytes"
	"compress/gzip"
	"log"
	"os"
	"path/filepath"
	"runtime"

	"yardmaster/internal/sandbox/native/initbin/build"
)

func main() {
	log.SetFlags(0)
	dir, err := os.MkdirTemp("", "yardmaster-init-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, arch := range build.Archs {
		program, err := build.Program(arch, filepath.Join(dir, arch))
		if err != nil {
			log.Fatal(err)
		}
		var out bytes.Buffer
		w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := w.Write(program); err != nil {
			log.Fatal(err)
		}
		if err := w.Close(); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile("init_"+arch+".gz", out.Bytes(), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	if err := os.WriteFile("toolchain.txt", []byte(runtime.Version()+"\n"), 0o644); err != nil {
		log.Fatal(err)
	}
}
