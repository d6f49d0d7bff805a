package secret

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeyWrapper protects data keys with a key that is not in the database, but in a file, the environment or a keyring. It is
// called inside transactions, so its methods MUST NOT wait for a network.
type KeyWrapper interface {
	// ID names the key without telling anything about it. Another key MUST have another id.
	ID() string
	// Wrap encrypts a data key, bound to aad.
	Wrap(key, aad []byte) ([]byte, error)
	// Unwrap is the inverse of Wrap. It MUST fail for another key, other aad or changed bytes.
	Unwrap(wrapped, aad []byte) ([]byte, error)
}

// masterKey is a KeyWrapper whose key this process holds. Keys are wrapped with XChaCha20-Poly1305
// (draft-irtf-cfrg-xchacha), whose nonces are long enough to be drawn at random.
type masterKey struct {
	id   string
	aead cipher.AEAD
}

const keyFile = "master.key"

// NewMasterKey makes a wrapper of 32 random bytes.
func NewMasterKey(key []byte) (KeyWrapper, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, errors.New("the master key must have 32 bytes")
	}
	sum := sha256.Sum256(append([]byte("yardmaster master key id\x00"), key...))
	return &masterKey{hex.EncodeToString(sum[:8]), aead}, nil
}

func (k *masterKey) ID() string { return k.id }

func (k *masterKey) Wrap(key, aad []byte) ([]byte, error) { return encrypt(k.aead, key, aad), nil }

func (k *masterKey) Unwrap(wrapped, aad []byte) ([]byte, error) { return decrypt(k.aead, wrapped, aad) }

// String and GoString keep the key out of texts.
func (k *masterKey) String() string   { return "master key " + k.id }
func (k *masterKey) GoString() string { return k.String() }

func encrypt(aead cipher.AEAD, plain, aad []byte) []byte {
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails: see crypto/rand
	return aead.Seal(nonce, nonce, plain, aad)
}

var errSealed = errors.New("the sealed bytes are damaged, or were sealed with another key or for another place")

func decrypt(aead cipher.AEAD, box, aad []byte) ([]byte, error) {
	if len(box) < aead.NonceSize() {
		return nil, errSealed
	}
	plain, err := aead.Open(nil, box[:aead.NonceSize()], box[aead.NonceSize():], aad)
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

// place is what sealed bytes are bound to: its parts, each with its length, so that no two lists look alike.
func place(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = fmt.Appendf(b, "%d:%s,", len(p), p)
	}
	return b
}

const sealedForm = "v1"

// b64 refuses texts that are other spellings of the same bytes.
var b64 = base64.RawStdEncoding.Strict()

// seal encrypts a text with a fresh key, which k wraps.
func seal(k KeyWrapper, plain, aad []byte) (string, error) {
	key := make([]byte, chacha20poly1305.KeySize)
	_, _ = rand.Read(key) // never fails: see crypto/rand
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return "", err
	}
	wrapped, err := k.Wrap(key, aad)
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	return strings.Join([]string{sealedForm, k.ID(), b64.EncodeToString(wrapped), b64.EncodeToString(encrypt(aead, plain, aad))}, "."), nil
}

// unseal is the inverse of seal.
func unseal(k KeyWrapper, sealed string, aad []byte) ([]byte, error) {
	parts := strings.Split(sealed, ".")
	if len(parts) != 4 || parts[0] != sealedForm {
		return nil, errSealed
	}
	if parts[1] != k.ID() {
		return nil, fmt.Errorf("it was sealed with the master key %s, and this is %s: %w", parts[1], k.ID(), errSealed)
	}
	wrapped, err := b64.DecodeString(parts[2])
	if err != nil {
		return nil, errSealed
	}
	box, err := b64.DecodeString(parts[3])
	if err != nil {
		return nil, errSealed
	}
	key, err := k.Unwrap(wrapped, aad)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, errSealed
	}
	return decrypt(aead, box, aad)
}

// parseKey reads a master key as people write it: 64 hexadecimal digits. The error does not hold the text.
func parseKey(text, from string) (KeyWrapper, error) {
	key, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != chacha20poly1305.KeySize {
		return nil, fmt.Errorf("the master key in %s must be 64 hexadecimal digits; restore it from your backup", from)
	}
	defer clear(key)
	return NewMasterKey(key)
}

// readKey reads the master key file of a data folder. The error is fs.ErrNotExist when there is none.
func readKey(dir string) (KeyWrapper, error) {
	path := filepath.Join(dir, keyFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the master key %s is not a file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the master key %s can be read by others (mode %#o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return parseKey(string(text), path)
}

// makeKey makes the master key file of a data folder. A file that is there is never overwritten: the error is then
// fs.ErrExist. When it answers, the key is on the disk.
func makeKey(dir string) (_ KeyWrapper, err error) {
	key := make([]byte, chacha20poly1305.KeySize)
	_, _ = rand.Read(key) // never fails: see crypto/rand
	defer clear(key)
	tmp, err := os.CreateTemp(dir, "."+keyFile+"-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make the master key: %w", err)
	}
	defer func() {
		if e := os.Remove(tmp.Name()); err == nil && !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
	}()
	_, err = tmp.WriteString(hex.EncodeToString(key) + "\n")
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Link(tmp.Name(), filepath.Join(dir, keyFile)) // unlike Rename it fails when the name is taken
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("make the master key: %w", err)
	}
	return NewMasterKey(key)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}
