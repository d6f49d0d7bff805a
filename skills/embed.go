// Package skills holds the skills that come with the binary.
package skills

import (
	"embed"
	"io/fs"
)

// bundled holds the skill folders whole; "all:" keeps files such as __init__.py, whose names begin
// with an underscore.
//
//go:embed all:aqi-predictor
var bundled embed.FS

// FS returns the bundled skills, one folder each, named as the skill. It is read-only and safe for
// concurrent use.
func FS() fs.FS { return bundled }
