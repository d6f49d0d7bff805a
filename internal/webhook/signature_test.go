package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
)

// The vectors: of the Standard Webhooks specification, of GitHub's documentation, and one for Stripe made with another
// program (Python's hmac).
const (
	standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	standardID     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	standardTime   = 1614265330
	standardBody   = `{"test": 2432232314}`
	standardSig    = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

	githubSecret = "It's a Secret to Everybody"
	githubBody   = "Hello, World!"
	githubSig    = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

	stripeSecret = "whsec_0123456789abcdefghij"
	stripeTime   = 1492774577
	stripeBody   = `{"id":"evt_1","type":"charge.failed"}`
	stripeSig    = "1b7e5f796cd7ab6c72133b687a64fb279eedce3189441198aa2bbef5ad6e3d5c"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i+1 < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestVectors(t *testing.T) {
	t.Parallel()
	std := func(sig string) http.Header {
		return header("webhook-id", standardID, "webhook-timestamp", fmt.Sprint(standardTime), "webhook-signature", sig)
	}
	other := "v1," + base64.StdEncoding.EncodeToString(make([]byte, 32))
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	for _, tt := range []struct {
		name, scheme string
		secrets      []string
		h            http.Header
		body         string
		now          time.Time
		signed, good bool
	}{
		{"standard", standard, []string{standardSecret}, std(standardSig), standardBody, at(standardTime), true, true},
		{"several signatures", standard, []string{standardSecret}, std("v1a,AAAA " + other + " " + standardSig), standardBody, at(standardTime), true, true},
		{"in several headers", standard, []string{standardSecret}, header("webhook-id", standardID, "webhook-timestamp", fmt.Sprint(standardTime), "webhook-signature", other, "webhook-signature", standardSig), standardBody, at(standardTime), true, true},
		{"the secret before", standard, []string{makeSecret(standard), standardSecret}, std(standardSig), standardBody, at(standardTime), true, true},
		{"4:59 late", standard, []string{standardSecret}, std(standardSig), standardBody, at(standardTime + 299), true, true},
		{"5:01 late", standard, []string{standardSecret}, std(standardSig), standardBody, at(standardTime + 301), true, false},
		{"5:01 early", standard, []string{standardSecret}, std(standardSig), standardBody, at(standardTime - 301), true, false},
		{"another body", standard, []string{standardSecret}, std(standardSig), standardBody + " ", at(standardTime), true, false},
		{"another secret", standard, []string{makeSecret(standard)}, std(standardSig), standardBody, at(standardTime), true, false},
		{"no secret", standard, nil, std(standardSig), standardBody, at(standardTime), true, false},
		{"only another version", standard, []string{standardSecret}, std("v2," + standardSig[3:]), standardBody, at(standardTime), true, false},
		{"cut off", standard, []string{standardSecret}, std(standardSig[:20]), standardBody, at(standardTime), true, false},
		{"empty", standard, []string{standardSecret}, std("v1,"), standardBody, at(standardTime), true, false},
		{"the 21st", standard, []string{standardSecret}, std(strings.Repeat("x ", maxSignatures) + standardSig), standardBody, at(standardTime), true, false},
		{"no id", standard, []string{standardSecret}, header("webhook-timestamp", fmt.Sprint(standardTime), "webhook-signature", standardSig), standardBody, at(standardTime), true, false},
		{"an id with a dot", standard, []string{standardSecret}, header("webhook-id", "a.b", "webhook-timestamp", fmt.Sprint(standardTime), "webhook-signature", standardSig), standardBody, at(standardTime), true, false},
		{"no time", standard, []string{standardSecret}, header("webhook-id", standardID, "webhook-signature", standardSig), standardBody, at(standardTime), true, false},
		{"a huge time", standard, []string{standardSecret}, header("webhook-id", standardID, "webhook-timestamp", "9223372036854775807", "webhook-signature", standardSig), standardBody, at(standardTime), true, false},
		{"unsigned", standard, []string{standardSecret}, header("webhook-id", standardID), standardBody, at(standardTime), false, true},

		{"github", github, []string{githubSecret}, header("X-Hub-Signature-256", githubSig), githubBody, at(0), true, true},
		{"github, capital digits", github, []string{githubSecret}, header("X-Hub-Signature-256", "sha256="+strings.ToUpper(githubSig[7:])), githubBody, at(0), true, true},
		{"github, another body", github, []string{githubSecret}, header("X-Hub-Signature-256", githubSig), githubBody + "!", at(0), true, false},
		{"github, SHA-1", github, []string{githubSecret}, header("X-Hub-Signature-256", "sha1="+githubSig[7:]), githubBody, at(0), true, false},
		{"github, unsigned", github, []string{githubSecret}, header("X-Hub-Signature", githubSig), githubBody, at(0), false, true},

		{"stripe", stripe, []string{stripeSecret}, header("Stripe-Signature", fmt.Sprintf("t=%d,v1=%s,v0=00", stripeTime, stripeSig)), stripeBody, at(stripeTime), true, true},
		{"stripe, several", stripe, []string{stripeSecret}, header("Stripe-Signature", fmt.Sprintf("t=%d, v1=00, v1=%s", stripeTime, stripeSig)), stripeBody, at(stripeTime), true, true},
		{"stripe, late", stripe, []string{stripeSecret}, header("Stripe-Signature", fmt.Sprintf("t=%d,v1=%s", stripeTime, stripeSig)), stripeBody, at(stripeTime + 301), true, false},
		{"stripe, another time", stripe, []string{stripeSecret}, header("Stripe-Signature", fmt.Sprintf("t=%d,v1=%s", stripeTime+1, stripeSig)), stripeBody, at(stripeTime), true, false},
		{"stripe, only v0", stripe, []string{stripeSecret}, header("Stripe-Signature", fmt.Sprintf("t=%d,v0=%s", stripeTime, stripeSig)), stripeBody, at(stripeTime), true, false},
		{"stripe, no time", stripe, []string{stripeSecret}, header("Stripe-Signature", "v1="+stripeSig), stripeBody, at(stripeTime), true, false},
		{"stripe, unsigned", stripe, []string{stripeSecret}, header(), stripeBody, at(stripeTime), false, true},

		{"none", none, nil, std(standardSig), "anything", at(0), false, true},
	} {
		signed, err := verify(tt.scheme, tt.secrets, tt.h, []byte(tt.body), tt.now)
		if signed != tt.signed || (err == nil) != tt.good || err != nil && !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("%s: signed %v, %v", tt.name, signed, err)
		}
		for _, s := range tt.secrets {
			if err != nil && strings.Contains(err.Error(), s) {
				t.Errorf("%s: the error shows the secret", tt.name)
			}
		}
	}
}

func sign(t testing.TB, secret, id string, at time.Time, body string) []string {
	t.Helper()
	key, err := standardKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	m := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(m, "%s.%d.%s", id, at.Unix(), body)
	return []string{"webhook-id", id, "webhook-timestamp", fmt.Sprint(at.Unix()), "webhook-signature", "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))}
}

func TestSignedTriggers(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), false)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}", RequireSignature: ptr(true)})
	if hook.Signature != standard || !hook.RequireSignature || !strings.HasPrefix(hook.SigningSecret, standardPrefix) {
		t.Fatalf("made %+v", hook)
	}
	const body = `{"a": 1}`
	expect := func(what string, want int, method, body string, headers ...string) {
		t.Helper()
		if rec := w.trigger(method, hook.Token, body, headers...); rec.Code != want {
			t.Errorf("%s: %d %s, want %d", what, rec.Code, rec.Body, want)
		}
	}
	good := sign(t, hook.SigningSecret, "m1", w.now(), body)
	expect("signed", 202, "POST", body, good...)
	first := w.taken(t, hook.Token, body, good...)
	if again := w.taken(t, hook.Token, body, good...); again != first {
		t.Errorf("sent again: %+v, before %+v", again, first)
	}
	expect("unsigned", 401, "POST", body)
	expect("unsigned GET", 401, "GET", "")
	expect("signed GET", 202, "GET", "", sign(t, hook.SigningSecret, "m2", w.now(), "")...)
	expect("the same JSON, other bytes", 401, "POST", `{"a":1}`, good...)
	expect("the id of another", 401, "POST", body, append([]string{"webhook-id", "m9"}, good[2:]...)...)
	w.move(tolerance + time.Second)
	expect("replayed later", 401, "POST", body, good...)

	// Two secrets while the sender changes over, then one.
	out, err := w.Update(w.ctx, UpdateIn{ID: "a", RotateSigningSecret: true})
	if err != nil || out.Webhook.SigningSecret == "" || out.Webhook.SigningSecret == hook.SigningSecret || out.Webhook.Token != "" {
		t.Fatalf("rotated: %+v, %v", out.Webhook, err)
	}
	expect("the new secret", 202, "POST", body, sign(t, out.Webhook.SigningSecret, "m3", w.now(), body)...)
	expect("the old secret, meanwhile", 202, "POST", body, sign(t, hook.SigningSecret, "m4", w.now(), body)...)
	w.move(overlap + time.Second)
	expect("the old secret, later", 401, "POST", body, sign(t, hook.SigningSecret, "m5", w.now(), body)...)
	expect("the new secret, later", 202, "POST", body, sign(t, out.Webhook.SigningSecret, "m6", w.now(), body)...)

	// A secret that leaked ends at once.
	given := makeSecret(standard)
	last, err := w.Update(w.ctx, UpdateIn{ID: "a", SigningSecret: &given, OldSecretHours: ptr(0)})
	if err != nil || last.Webhook.SigningSecret != "" {
		t.Fatalf("given: %+v, %v", last.Webhook, err)
	}
	expect("the leaked secret", 401, "POST", body, sign(t, out.Webhook.SigningSecret, "m7", w.now(), body)...)
	expect("the given secret", 202, "POST", body, sign(t, given, "m8", w.now(), body)...)

	// Where a signature may be left out, a wrong one is still refused.
	if _, err := w.Update(w.ctx, UpdateIn{ID: "a", RequireSignature: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	expect("left out", 202, "POST", body)
	expect("wrong", 401, "POST", body, sign(t, hook.SigningSecret, "m10", w.now(), body)...)
}

func TestSchemeChange(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), false)
	hook := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}", Signature: ptr(github)})
	if !hook.RequireSignature || hook.SigningSecret == "" {
		t.Fatalf("made %+v", hook)
	}
	hub := func(secret, body string) []string {
		m := hmac.New(sha256.New, []byte(secret))
		_, _ = m.Write([]byte(body))
		return []string{"X-Hub-Signature-256", "sha256=" + hex.EncodeToString(m.Sum(nil)), "X-GitHub-Delivery", "72d3162e"}
	}
	first := w.taken(t, hook.Token, "{}", hub(hook.SigningSecret, "{}")...)
	if again := w.taken(t, hook.Token, "{}", hub(hook.SigningSecret, "{}")...); again != first {
		t.Errorf("GitHub's redelivery is another: %+v, before %+v", again, first)
	}
	out, err := w.Update(w.ctx, UpdateIn{ID: "a", Signature: ptr(stripe), SigningSecret: ptr(stripeSecret)})
	if err != nil || out.Webhook.Signature != stripe || out.Webhook.SigningSecret != "" {
		t.Fatalf("changed: %+v, %v", out.Webhook, err)
	}
	if rec := w.trigger("POST", hook.Token, "{}", hub(hook.SigningSecret, "{}")...); rec.Code != http.StatusUnauthorized {
		t.Errorf("the scheme before: %d", rec.Code)
	}
	w.mu.Lock()
	w.time = time.Unix(stripeTime, 0)
	w.mu.Unlock()
	paid := w.taken(t, hook.Token, stripeBody, "Stripe-Signature", fmt.Sprintf("t=%d,v1=%s", stripeTime, stripeSig), "webhook-id", "x")
	if again := w.taken(t, hook.Token, stripeBody, "Stripe-Signature", fmt.Sprintf("t=%d,v1=%s", stripeTime, stripeSig), "webhook-id", "y"); again != paid {
		t.Error("an event of Stripe was taken twice: its own id must count, which is signed")
	}
	if out, err = w.Update(w.ctx, UpdateIn{ID: "a", Signature: ptr(none)}); err != nil || out.Webhook.RequireSignature {
		t.Fatalf("none: %+v, %v", out.Webhook, err)
	}
	w.taken(t, hook.Token, "{}")
}

// A sealed secret that is moved to another webhook in the database opens nothing there.
func TestSealedSecretsAreBound(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), newTalker(), false)
	a := w.create(t, CreateIn{Name: "a", PromptTemplate: "{{payload}}", Signature: ptr(standard)})
	b := w.create(t, CreateIn{Name: "b", PromptTemplate: "{{payload}}", Signature: ptr(standard)})
	if err := moveSealed(w, a.ID, b.ID); err != nil {
		t.Fatal(err)
	}
	if rec := w.trigger("POST", b.Token, "1", sign(t, a.SigningSecret, "m", w.now(), "1")...); rec.Code != http.StatusInternalServerError {
		t.Errorf("got %d", rec.Code)
	}
	out, err := w.Update(w.ctx, UpdateIn{ID: "b", RotateSigningSecret: true})
	if err != nil {
		t.Fatal(err)
	}
	w.taken(t, b.Token, "1", sign(t, out.Webhook.SigningSecret, "m", w.now(), "1")...)
}

func FuzzSignature(f *testing.F) {
	f.Add(standard, standardID, fmt.Sprint(standardTime), standardSig, []byte(standardBody))
	f.Add(github, "", "", githubSig, []byte(githubBody))
	f.Add(stripe, "", "", fmt.Sprintf("t=%d,v1=%s", stripeTime, stripeSig), []byte(stripeBody))
	f.Fuzz(func(t *testing.T, scheme, id, stamp, sig string, body []byte) {
		h := header("webhook-id", id, "webhook-timestamp", stamp, "webhook-signature", sig, "X-Hub-Signature-256", sig, "Stripe-Signature", sig)
		for _, s := range []struct {
			scheme, secret, body string
			now                  int64
		}{{standard, standardSecret, standardBody, standardTime}, {github, githubSecret, githubBody, 0}, {stripe, stripeSecret, stripeBody, stripeTime}} {
			signed, err := verify(s.scheme, []string{s.secret}, h, body, time.Unix(s.now, 0))
			if signed && err == nil && string(body) != s.body {
				t.Errorf("%s: a forged call was taken: %q %q %q %q", s.scheme, id, stamp, sig, body)
			}
			if err != nil && !errs.Is(err, errs.Unauthenticated) {
				t.Errorf("%s: %v", s.scheme, err)
			}
		}
		if v, err := senderID(scheme, h, body); err == nil && len(v) > maxSenderID {
			t.Errorf("a sender's id of %d bytes", len(v))
		}
	})
}

func moveSealed(w *world, from, to string) error {
	return w.d.Update(w.ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE webhooks SET sealed = (SELECT sealed FROM webhooks WHERE id = ?) WHERE id = ?`, from, to)
		return err
	})
}
