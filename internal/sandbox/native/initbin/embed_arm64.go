package initbin

import _ "embed"

//go:embed init_arm64.gz
var packed []byte
