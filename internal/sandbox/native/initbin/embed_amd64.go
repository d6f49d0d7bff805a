package initbin

import _ "embed"

//go:embed init_amd64.gz
var packed []byte
