package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/id"
)

// TriggerPattern is the path of Handler as an http.ServeMux pattern.
const TriggerPattern = triggerPath + "{token}"

const (
	triggerPath = "/api/webhooks/trigger/"
	// maxPayload is the largest payload, in bytes.
	maxPayload = 10 << 10
	// maxToken bounds what is looked at as a token.
	maxToken = 100
	// bodyTime is how long a caller may take to send a payload.
	bodyTime = 10 * time.Second
	// maxDrained is how much of a refused body is taken, so that the answer arrives at callers that send before they read.
	maxDrained = 4 << 20
)

// Receipt is the answer to a call that was taken.
type Receipt struct {
	OK         bool   `json:"ok"`
	DeliveryID string `json:"deliveryId"`
	ChatID     string `json:"chatId"`
}

// laterError refuses a call that may be made again later.
type laterError struct {
	refusal *errs.Error
	after   time.Duration
}

func (e laterError) Error() string { return e.refusal.Error() }
func (e laterError) Unwrap() error { return e.refusal }

func later(after time.Duration, format string, args ...any) error {
	return laterError{errs.New(errs.RateLimited, format, args...), after}
}

// Handler answers the calls of webhooks: POST with a JSON payload, GET without one. It checks its callers by the token in
// the path and, where the webhook asks for it, a signature. fail writes an error as the answer.
func (s *Service) Handler(fail func(w http.ResponseWriter, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := s.receive(w, r)
		if err == nil {
			writeReceipt(w, out)
			return
		}
		if errs.CodeOf(err) == errs.Internal && r.Context().Err() == nil {
			s.log.Error("a webhook call failed", "error", err, "cause", errors.Unwrap(err))
		}
		var l laterError
		if errors.As(err, &l) {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(l.after.Seconds()))))
		}
		drain(w, r)
		fail(w, err)
	})
}

func writeReceipt(w http.ResponseWriter, out Receipt) {
	raw, err := json.Marshal(out)
	if err != nil {
		panic(err) // a struct of strings
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(raw)+1))
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(append(raw, '\n')) // whether the caller got it is its own affair: the delivery is stored
}

// drain takes what a caller still sends, up to a bound.
func drain(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Header.Get("Expect") != "" { // a caller that waits to be told to go on sends nothing
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // a writer without deadlines needs none
	_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
}

func (s *Service) receive(w http.ResponseWriter, r *http.Request) (Receipt, error) {
	if r.Method != http.MethodPost && r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET, POST")
		return Receipt{}, &errs.Error{Code: errs.Invalid, HTTPStatus: http.StatusMethodNotAllowed,
			Detail: "A webhook is called with POST and a JSON payload, or with GET and none."}
	}
	hook, err := s.byToken(r)
	if err != nil {
		return Receipt{}, err
	}
	var body []byte
	if r.Method == http.MethodPost {
		if body, err = readBody(w, r); err != nil {
			return Receipt{}, err
		}
	}
	if err := s.checkSignature(hook, r.Header, body); err != nil {
		return Receipt{}, err
	}
	d := deliveryRow{ID: id.New(deliveryPrefix), Account: hook.Account, Webhook: hook.ID, Method: r.Method, Status: statusQueued, CreatedAt: db.Millis(s.now())}
	if r.Method == http.MethodPost {
		if d.Payload, err = compact(body); err != nil {
			return Receipt{}, err
		}
	}
	if d.SenderID, err = senderID(hook.Signature, r.Header, body); err != nil {
		return Receipt{}, err
	}
	if wait := s.admit(hook.ID); wait > 0 {
		return Receipt{}, later(wait, "This webhook is called too often: at most %d times at once and once a second after that. Call again later.", burst)
	}
	return s.accept(r, hook, d)
}

func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func noSuchToken() error {
	return errs.New(errs.NotFound, "There is no webhook at this address. Its token may have been rotated, or the webhook deleted.")
}

// byToken finds the webhook that the request calls.
func (s *Service) byToken(r *http.Request) (row, error) {
	token := r.PathValue("token")
	if token == "" || len(token) > maxToken {
		return row{}, noSuchToken()
	}
	var hook row
	err := s.db.View(r.Context(), func(tx *db.Tx) (err error) {
		hook, err = getByToken(tx, hashToken(token))
		return err
	})
	if errors.Is(err, db.ErrNoRows) {
		return row{}, noSuchToken()
	}
	if err == nil && !hook.Enabled {
		err = disabled()
	}
	return hook, err
}

func disabled() error {
	return errs.New(errs.Conflict, "This webhook is disabled. Its owner can enable it again.")
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := errs.New(errs.TooLarge, "The payload is larger than %d bytes. Send less, or an address where the rest can be found.", maxPayload)
	if r.ContentLength > maxPayload {
		return nil, tooLarge
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTime)) // a writer without deadlines needs none
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	_ = rc.SetReadDeadline(time.Time{})
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "The payload did not arrive whole.")
	}
	if len(body) > maxPayload {
		return nil, tooLarge
	}
	return body, nil
}

// compact checks that a payload is JSON in UTF-8 and takes out the white space around its values.
func compact(body []byte) (string, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return "", errs.New(errs.Invalid, "The payload is empty. Send JSON, or call with GET when there is nothing to send.")
	}
	if !utf8.Valid(body) {
		return "", errs.New(errs.Invalid, "The payload is not UTF-8. Send JSON in UTF-8.")
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, body); err != nil {
		return "", errs.Wrap(err, errs.Invalid, "The payload is not JSON. Send JSON; some senders must be told to (content type application/json).")
	}
	return buf.String(), nil
}

func (s *Service) checkSignature(hook row, h http.Header, body []byte) error {
	if hook.Signature == none {
		return nil
	}
	g, err := s.openSigning(hook)
	if err != nil {
		return err
	}
	var secrets []string
	for _, k := range g.secrets(s.now()) {
		secrets = append(secrets, k.Value)
	}
	signed, err := verify(hook.Signature, secrets, h, body, s.now())
	if err == nil && !signed && hook.RequireSignature {
		headers := map[string]string{standard: "webhook-id, webhook-timestamp and webhook-signature", github: "X-Hub-Signature-256", stripe: "Stripe-Signature"}
		return refused("This webhook takes signed calls only, and the signature is missing: %s.", headers[hook.Signature])
	}
	return err
}

// accept stores a delivery and its job. A delivery that was taken before is answered as it was then.
func (s *Service) accept(r *http.Request, hook row, d deliveryRow) (Receipt, error) {
	err := s.db.Update(r.Context(), func(tx *db.Tx) error {
		now, err := getByToken(tx, hook.TokenHash) // it may have been changed while the payload came in
		switch {
		case errors.Is(err, db.ErrNoRows):
			return noSuchToken()
		case err != nil:
			return err
		case !now.Enabled:
			return disabled()
		}
		if d.SenderID != "" {
			before, err := getBySender(tx, d.Account, d.Webhook, d.SenderID)
			if err == nil {
				d = before
				return nil
			} else if !errors.Is(err, db.ErrNoRows) {
				return err
			}
		}
		d.Template, d.Scopes = now.Template, now.Scopes
		return s.add(tx, d)
	})
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{OK: true, DeliveryID: d.ID, ChatID: hook.ChatID}, nil
}

// add stores a new delivery and has it carried out.
func (s *Service) add(tx *db.Tx, d deliveryRow) error {
	waiting, err := countOpen(tx, d.Account, d.Webhook)
	if err != nil {
		return err
	}
	if waiting >= maxWaiting {
		return later(time.Minute, "%d deliveries of this webhook are waiting for the Operator already. Call again later.", waiting)
	}
	if added, err := insertDelivery(tx, d); err != nil || !added {
		return errors.Join(err, fmt.Errorf("delivery %s was not stored", d.ID))
	}
	if _, err := s.events.Append(tx, d.Account, d.Webhook, "webhook.received", map[string]any{"delivery": d.ID, "method": d.Method, "replayOf": d.ReplayOf}); err != nil {
		return err
	}
	return s.enqueue(tx, d.Account, d.Webhook)
}
