// Package id makes and checks the platform's identifiers: a prefix that names the kind, and a part that sorts by time.
package id

import (
	"encoding/base32"
	"strings"

	"github.com/google/uuid"
)

// The prefixes of the HTTP contract.
const (
	Chat       = "chat"
	Message    = "msg"
	Turn       = "turn"
	Instance   = "inst"
	Skill      = "skill"
	Secret     = "sec"
	Automation = "auto"
	Run        = "run"
	Webhook    = "wh"
	Experiment = "exp"
	Variant    = "var"
	Key        = "key"
	User       = "user"
	Account    = "acct"
	Event      = "evt"
)

// Crockford's alphabet keeps the byte order of what it encodes, so ids sort by their time of making.
var enc = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// New makes an id: prefix, underscore, and a UUID version 7 (RFC 9562) in 26 characters of Crockford base32.
func New(prefix string) string {
	u, err := uuid.NewV7()
	if err != nil { // only when the system has no randomness left, where nothing may go on
		panic(err)
	}
	return prefix + "_" + enc.EncodeToString(u[:])
}

// Is tells whether s is shaped like an id with this prefix. A name may never be, so that ids and names can't be confused.
func Is(prefix, s string) bool {
	rest, ok := strings.CutPrefix(s, prefix+"_")
	if !ok || len(rest) != 26 {
		return false
	}
	_, err := enc.DecodeString(rest)
	return err == nil
}
