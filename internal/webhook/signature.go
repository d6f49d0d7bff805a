package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"yardmaster/internal/errs"
)

// The ways in which senders sign.
const (
	none     = "none"
	standard = "standard" // Standard Webhooks 1.0.0
	github   = "github"   // X-Hub-Signature-256
	stripe   = "stripe"   // Stripe-Signature
)

const (
	// tolerance is how far a sender's clock may be from ours, both ways.
	tolerance = 5 * time.Minute
	// maxSignatures bounds how many signatures of one call are looked at.
	maxSignatures = 20
	// standardPrefix begins a secret of Standard Webhooks; base64 follows.
	standardPrefix = "whsec_"
	// maxSenderID bounds a sender's id of a delivery, in bytes.
	maxSenderID = 255
)

func refused(format string, args ...any) error {
	return errs.New(errs.Unauthenticated, format, args...)
}

// verify checks the signature of a call against any of the secrets. signed is false for a call that has none at all.
// Senders and body are compared as they came, in a time that tells nothing about a secret.
func verify(scheme string, secrets []string, h http.Header, body []byte, now time.Time) (signed bool, err error) {
	switch scheme {
	case standard:
		return verifyStandard(secrets, h, body, now)
	case github:
		return verifyGitHub(secrets, h, body)
	case stripe:
		return verifyStripe(secrets, h, body, now)
	}
	return false, nil
}

const wrongSignature = "The signature does not fit. Sign the body as it is sent, with this webhook's signing secret."

// verifyStandard follows Standard Webhooks 1.0.0, symmetric signatures: HMAC-SHA-256 over "id.timestamp.body", in base64
// behind "v1,". Signatures of other versions are passed over.
func verifyStandard(secrets []string, h http.Header, body []byte, now time.Time) (bool, error) {
	id, stamp, list := h.Get("webhook-id"), h.Get("webhook-timestamp"), strings.Join(h.Values("webhook-signature"), " ")
	if list == "" {
		return false, nil
	}
	if id == "" || stamp == "" || strings.Contains(id, ".") {
		return true, refused("The headers webhook-id (without dots) and webhook-timestamp belong to the signature and are missing or wrong.")
	}
	if err := checkTime("webhook-timestamp", stamp, now); err != nil {
		return true, err
	}
	var given [][]byte
	for _, f := range firstFields(list, " ") {
		if text, ok := strings.CutPrefix(f, "v1,"); ok {
			if mac, err := base64.StdEncoding.DecodeString(text); err == nil {
				given = append(given, mac)
			}
		}
	}
	var keys [][]byte
	for _, s := range secrets {
		if key, err := standardKey(s); err == nil {
			keys = append(keys, key)
		}
	}
	return true, compare(keys, given, []byte(id+"."+stamp+"."), body)
}

// verifyGitHub follows GitHub's "Validating webhook deliveries": HMAC-SHA-256 over the body, in hexadecimal digits behind
// "sha256=". GitHub signs no time.
func verifyGitHub(secrets []string, h http.Header, body []byte) (bool, error) {
	header := h.Get("X-Hub-Signature-256")
	if header == "" {
		return false, nil
	}
	var given [][]byte
	if text, ok := strings.CutPrefix(header, "sha256="); ok {
		if mac, err := hex.DecodeString(text); err == nil {
			given = append(given, mac)
		}
	}
	return true, compare(raw(secrets), given, nil, body)
}

// verifyStripe follows Stripe's "Verify webhook signatures manually": "t=SECONDS,v1=HEX", where HEX is the HMAC-SHA-256
// over "t.body". There may be several v1; other schemes are passed over.
func verifyStripe(secrets []string, h http.Header, body []byte, now time.Time) (bool, error) {
	header := h.Get("Stripe-Signature")
	if header == "" {
		return false, nil
	}
	stamp := ""
	var given [][]byte
	for _, f := range firstFields(header, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(f), "=")
		switch key {
		case "t":
			stamp = value
		case "v1":
			if mac, err := hex.DecodeString(value); err == nil {
				given = append(given, mac)
			}
		}
	}
	if err := checkTime("t of Stripe-Signature", stamp, now); err != nil {
		return true, err
	}
	return true, compare(raw(secrets), given, []byte(stamp+"."), body)
}

func firstFields(list, sep string) []string {
	fields := strings.SplitN(list, sep, maxSignatures+1)
	return fields[:min(len(fields), maxSignatures)]
}

func raw(secrets []string) [][]byte {
	keys := make([][]byte, len(secrets))
	for i, s := range secrets {
		keys[i] = []byte(s)
	}
	return keys
}

func checkTime(name, text string, now time.Time) error {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return refused("The timestamp (%s) must be a number of seconds since 1970.", name)
	}
	if d := now.Sub(time.Unix(seconds, 0)); d > tolerance || d < -tolerance {
		return refused("The timestamp (%s) is more than 5 minutes from the server's time.", name)
	}
	return nil
}

// compare looks for a given signature that one of the keys makes.
func compare(keys, given [][]byte, prefix, body []byte) error {
	fits := false
	for _, key := range keys {
		m := hmac.New(sha256.New, key)
		m.Write(prefix)
		m.Write(body)
		sum := m.Sum(nil)
		for _, g := range given {
			fits = hmac.Equal(sum, g) || fits
		}
	}
	if !fits {
		return refused(wrongSignature)
	}
	return nil
}

// standardKey decodes a secret of Standard Webhooks: 24 to 64 bytes.
func standardKey(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, standardPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errs.BadField("signingSecret", "must be whsec_ and the base64 form of 24 to 64 bytes for Standard Webhooks; leave it out to have one made")
	}
	return key, nil
}

// checkSecret checks the form of a signing secret. The error does not hold it.
func checkSecret(scheme, secret string) error {
	if scheme == standard {
		_, err := standardKey(secret)
		return err
	}
	if len(secret) < 16 || len(secret) > 200 || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errs.BadField("signingSecret", "must be 16 to 200 letters, digits and signs without spaces; leave it out to have one made")
	}
	return nil
}

// makeSecret makes a signing secret in the form that senders of the scheme use.
func makeSecret(scheme string) string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: see crypto/rand
	if scheme == github {
		return hex.EncodeToString(key)
	}
	return standardPrefix + base64.StdEncoding.EncodeToString(key)
}

// senderID answers what the sender calls this delivery, the same in all repetitions; "" when it has no name. Where the
// signature covers a name, it is that one.
func senderID(scheme string, h http.Header, body []byte) (string, error) {
	v := ""
	switch scheme {
	case github:
		v = h.Get("X-GitHub-Delivery")
	case stripe:
		var e struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(body, &e) == nil {
			v = e.ID
		}
	}
	if v == "" {
		v = h.Get("webhook-id")
	}
	if len(v) > maxSenderID || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", errs.BadField("webhook-id", "must be at most %d printable ASCII characters", maxSenderID)
	}
	return v, nil
}
