package chat

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"yardmaster/internal/agent"
)

// minSecret is the length of the shortest secret that is looked for in texts; shorter ones would mask words.
const minSecret = 4

// masker replaces secrets in a text that comes in pieces. What may be the beginning of a secret is held back until it is
// known.
type masker struct {
	secrets []string // the longest first, so that one that holds another goes first
	held    string
}

// learn adds secrets.
func (m *masker) learn(secrets []string) {
	for _, s := range secrets {
		if len(s) >= minSecret && s != agent.Mask && !slices.Contains(m.secrets, s) {
			m.secrets = append(m.secrets, s)
		}
	}
	slices.SortStableFunc(m.secrets, func(a, b string) int { return len(b) - len(a) })
}

// push adds a piece and answers what can be shown.
func (m *masker) push(s string) string {
	if len(m.secrets) == 0 {
		return s
	}
	s = m.all(m.held + s)
	hold := 0
	for _, secret := range m.secrets {
		for n := min(len(secret)-1, len(s)); n > hold; n-- {
			if strings.HasSuffix(s, secret[:n]) {
				hold = n
				break
			}
		}
	}
	cut := len(s) - hold
	for cut > 0 && cut < len(s) && s[cut]&0xC0 == 0x80 { // a secret may begin inside of what is a rune here
		cut--
	}
	m.held = s[cut:]
	return s[:cut]
}

// flush answers what was held back.
func (m *masker) flush() string {
	s := m.held
	m.held = ""
	return s
}

// all masks a whole text.
func (m *masker) all(s string) string {
	for _, secret := range m.secrets {
		s = strings.ReplaceAll(s, secret, agent.Mask)
	}
	return s
}

// memorySealer seals with a key that lives as long as the process.
type memorySealer struct{ aead cipher.AEAD }

// NewMemorySealer makes a Sealer whose key dies with the process.
func NewMemorySealer() memorySealer {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails: crypto/rand ends the process instead
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for a key of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return memorySealer{aead}
}

// Seal implements Sealer.
func (m memorySealer) Seal(account string, plain []byte) (string, error) {
	return base64.StdEncoding.EncodeToString(m.aead.Seal(nil, nil, plain, []byte(account))), nil
}

// Open implements Sealer.
func (m memorySealer) Open(account, sealed string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, err
	}
	if len(raw) < m.aead.Overhead() {
		return nil, errors.New("too short")
	}
	return m.aead.Open(nil, nil, raw, []byte(account))
}
