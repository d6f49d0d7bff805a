package webhook

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
)

const (
	deliveryPrefix = "dlv"
	tokenPrefix    = "wht_"
	// shownPayload is how much of a payload a list shows, in bytes.
	shownPayload = 500
)

// Webhook is a webhook as it is shown. Token, URL and SigningSecret are set only in the answer in which they were made.
type Webhook struct {
	ID               string     `json:"id"`
	Name             string     `json:"name"`
	PromptTemplate   string     `json:"promptTemplate"`
	Enabled          bool       `json:"enabled"`
	Signature        string     `json:"signature"`
	RequireSignature bool       `json:"requireSignature"`
	ChatID           string     `json:"chatId"`
	CreatedAt        time.Time  `json:"createdAt"`
	UpdatedAt        time.Time  `json:"updatedAt"`
	LastDeliveryAt   *time.Time `json:"lastDeliveryAt"`
	Token            string     `json:"token,omitempty"`
	URL              string     `json:"url,omitempty"`
	SigningSecret    string     `json:"signingSecret,omitempty"`
}

// Delivery is one call of a webhook.
type Delivery struct {
	ID         string     `json:"id"`
	WebhookID  string     `json:"webhookId"`
	ChatID     string     `json:"chatId"`
	Method     string     `json:"method"`
	SenderID   string     `json:"senderId,omitempty"` // the sender's own id of it
	ReplayOf   string     `json:"replayOf,omitempty"`
	Status     string     `json:"status"` // queued, running, done, failed
	TurnID     string     `json:"turnId,omitempty"`
	Detail     string     `json:"detail,omitempty"`
	Payload    string     `json:"payload,omitempty"` // JSON; foreign text
	Truncated  bool       `json:"truncated,omitempty"`
	ReceivedAt time.Time  `json:"receivedAt"`
	StartedAt  *time.Time `json:"startedAt,omitempty"`
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
	DurationMs int64      `json:"durationMs,omitempty"`
}

// One is an answer with one webhook.
type One struct {
	Webhook Webhook `json:"webhook"`
}

func when(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := db.Time(ms)
	return &t
}

func (r row) webhook() Webhook {
	return Webhook{ID: r.ID, Name: r.Name, PromptTemplate: r.Template, Enabled: r.Enabled, Signature: r.Signature, RequireSignature: r.RequireSignature, ChatID: r.ChatID,
		CreatedAt: db.Time(r.CreatedAt), UpdatedAt: db.Time(r.UpdatedAt), LastDeliveryAt: when(r.LastDeliveryAt)}
}

func (d deliveryRow) delivery(chat string) Delivery {
	out := Delivery{ID: d.ID, WebhookID: d.Webhook, ChatID: chat, Method: d.Method, SenderID: d.SenderID, ReplayOf: d.ReplayOf, Status: d.Status, TurnID: d.TurnID, Detail: d.Detail,
		ReceivedAt: db.Time(d.CreatedAt), StartedAt: when(d.StartedAt), FinishedAt: when(d.FinishedAt)}
	if d.StartedAt != 0 && d.FinishedAt != 0 {
		out.DurationMs = d.FinishedAt - d.StartedAt
	}
	return out
}

// show is the answer to a change: with a token and a secret where they are new.
func (s *Service) show(r row, token, secret string) One {
	w := r.webhook()
	w.Token, w.SigningSecret = token, secret
	if token != "" {
		w.URL = strings.TrimRight(s.baseURL(), "/") + triggerPath + token
	}
	return One{w}
}

// makeToken makes a token of 256 random bits.
func makeToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: see crypto/rand
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

var nameForm = regexp.MustCompile(`^[^\x00-\x1f/\\]{1,100}$`)

func checkName(name string) error {
	// The path of the trigger takes the place that a webhook of that name would have.
	if !nameForm.MatchString(name) || strings.TrimSpace(name) != name || id.Is(id.Webhook, name) || name == "trigger" {
		return errs.BadField("name", "must be 1 to 100 characters without slashes, control characters or spaces around it, and not %q", "trigger")
	}
	return nil
}

func checkTemplate(template string) error {
	switch n := strings.Count(template, placeholder); {
	case n == 0:
		return errs.BadField("promptTemplate", "must hold %s where the posted payload goes, such as: Look at %s and tell me which build broke.", placeholder, placeholder)
	case n > maxPlaces:
		return errs.BadField("promptTemplate", "holds %s %d times; at most %d are allowed", placeholder, n, maxPlaces)
	}
	return nil
}

func notFound(ref string) error {
	return errs.New(errs.NotFound, "There is no webhook %q.", ref)
}

func taken(name string) error {
	return errs.New(errs.Conflict, "There is a webhook named %q already.", name)
}

// ListIn is the input of List.
type ListIn struct {
	Limit int    `json:"limit,omitempty" doc:"At most so many; 100 when left out." min:"1" max:"500"`
	After string `json:"after,omitempty" doc:"The next field of the answer before."`
}

// ListOut is the output of List.
type ListOut struct {
	Webhooks []Webhook `json:"webhooks"`
	Next     string    `json:"next,omitempty"`
}

// List lists the account's webhooks, oldest first.
func (s *Service) List(ctx context.Context, in ListIn) (ListOut, error) {
	limit := in.Limit
	if limit == 0 {
		limit = 100
	}
	var rows []row
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		rows, err = listRows(tx, op.ActorFrom(ctx).Account, in.After, limit)
		return err
	})
	if err != nil {
		return ListOut{}, err
	}
	out := ListOut{Webhooks: []Webhook{}}
	for _, r := range rows {
		out.Webhooks = append(out.Webhooks, r.webhook())
	}
	if len(rows) == limit {
		out.Next = rows[len(rows)-1].ID
	}
	return out, nil
}

// CreateIn is the input of Create.
type CreateIn struct {
	Name             string  `json:"name" doc:"A name, unique in the account, such as ci-failed."`
	PromptTemplate   string  `json:"promptTemplate" doc:"What the Operator is told at each call, with {{payload}} where the posted payload goes. The payload is data: what is to be done must be said around it." minLen:"1" maxLen:"10000"`
	Enabled          *bool   `json:"enabled,omitempty" doc:"Whether calls are taken; true when left out."`
	Signature        *string `json:"signature,omitempty" doc:"How senders sign: none (the default), standard (Standard Webhooks), github or stripe." enum:"none,standard,github,stripe"`
	RequireSignature *bool   `json:"requireSignature,omitempty" doc:"Refuse calls without a signature; true when a signature is named. Wrong signatures are refused in any case."`
	SigningSecret    *string `json:"signingSecret,omitempty" doc:"The secret that the sender signs with; one is made and shown once when it is left out." secret:"true"`
}

// Create makes a webhook. Its token and URL, and a signing secret that was made, are in this answer only.
func (s *Service) Create(ctx context.Context, in CreateIn) (One, error) {
	if err := checkName(in.Name); err != nil {
		return One{}, err
	}
	if err := checkTemplate(in.PromptTemplate); err != nil {
		return One{}, err
	}
	actor, token, now := op.ActorFrom(ctx), makeToken(), db.Millis(s.now())
	scopes, err := json.Marshal(actor.Scopes)
	if err != nil {
		return One{}, err
	}
	r := row{ID: id.New(id.Webhook), Account: actor.Account, Name: in.Name, Template: in.PromptTemplate, Scopes: string(scopes), Enabled: in.Enabled == nil || *in.Enabled,
		TokenHash: hashToken(token), Signature: none, ChatID: id.New(id.Chat), CreatedAt: now, UpdatedAt: now}
	secret, err := s.changeSigning(&r, signingChange{scheme: in.Signature, require: in.RequireSignature, secret: in.SigningSecret})
	if err != nil {
		return One{}, err
	}
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		if n, err := countRows(tx, r.Account); err != nil {
			return err
		} else if n >= maxWebhooks {
			return errs.New(errs.Capacity, "There are %d webhooks, as many as an account may have.", n)
		}
		added, err := insertRow(tx, r)
		if err != nil {
			return err
		}
		if !added {
			return taken(r.Name)
		}
		_, err = s.events.Append(tx, r.Account, r.ID, "webhook.created", map[string]any{"name": r.Name})
		return err
	})
	if err != nil {
		return One{}, err
	}
	return s.show(r, token, secret), nil
}

// GetIn is the input of Get, and of everything that needs only the webhook.
type GetIn struct {
	ID string `json:"id" doc:"The webhook's id or name." ref:"webhook"`
}

// find reads a webhook of the actor's account inside a transaction.
func find(tx *db.Tx, account, ref string) (row, error) {
	r, err := getRow(tx, account, ref)
	if errors.Is(err, db.ErrNoRows) {
		return r, notFound(ref)
	}
	return r, err
}

// Get shows one webhook.
func (s *Service) Get(ctx context.Context, in GetIn) (One, error) {
	var r row
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		r, err = find(tx, op.ActorFrom(ctx).Account, in.ID)
		return err
	})
	if err != nil {
		return One{}, err
	}
	return One{r.webhook()}, nil
}

// UpdateIn is the input of Update; what is left out stays.
type UpdateIn struct {
	ID                  string  `json:"id" doc:"The webhook's id or name." ref:"webhook"`
	Name                *string `json:"name,omitempty" doc:"A new name."`
	PromptTemplate      *string `json:"promptTemplate,omitempty" doc:"A new template, with {{payload}} where the posted payload goes." minLen:"1" maxLen:"10000"`
	Enabled             *bool   `json:"enabled,omitempty" doc:"false refuses calls, true takes them again."`
	RegenerateToken     bool    `json:"regenerateToken,omitempty" doc:"Make a new token and URL; the old URL stops working at once."`
	Signature           *string `json:"signature,omitempty" doc:"How senders sign: none, standard (Standard Webhooks), github or stripe. A change of it makes a new signing secret." enum:"none,standard,github,stripe"`
	RequireSignature    *bool   `json:"requireSignature,omitempty" doc:"Refuse calls without a signature."`
	SigningSecret       *string `json:"signingSecret,omitempty" doc:"A new signing secret that the sender gave." secret:"true"`
	RotateSigningSecret bool    `json:"rotateSigningSecret,omitempty" doc:"Make a new signing secret, shown once."`
	OldSecretHours      *int    `json:"oldSecretHours,omitempty" doc:"How many hours the signing secret before stays good beside a new one; 24 when left out, 0 ends it at once." min:"0" max:"168"`
}

// Update changes a webhook. A new token or signing secret is in this answer only.
func (s *Service) Update(ctx context.Context, in UpdateIn) (One, error) {
	actor, token, secret := op.ActorFrom(ctx), "", ""
	scopes, err := json.Marshal(actor.Scopes)
	if err != nil {
		return One{}, err
	}
	change := signingChange{scheme: in.Signature, require: in.RequireSignature, secret: in.SigningSecret, rotate: in.RotateSigningSecret, overlap: overlap}
	if in.OldSecretHours != nil {
		change.overlap = time.Duration(*in.OldSecretHours) * time.Hour
	}
	var r row
	err = s.db.Update(ctx, func(tx *db.Tx) (err error) {
		if r, err = find(tx, actor.Account, in.ID); err != nil {
			return err
		}
		if in.Name != nil {
			r.Name = *in.Name
			if err := checkName(r.Name); err != nil {
				return err
			}
			if used, err := nameTaken(tx, r.Account, r.Name, r.ID); err != nil {
				return err
			} else if used {
				return taken(r.Name)
			}
		}
		if in.PromptTemplate != nil && *in.PromptTemplate != r.Template {
			if err := checkTemplate(*in.PromptTemplate); err != nil {
				return err
			}
			r.Template, r.Scopes = *in.PromptTemplate, string(scopes)
		}
		if in.Enabled != nil {
			r.Enabled = *in.Enabled
		}
		if in.RegenerateToken {
			token = makeToken()
			r.TokenHash = hashToken(token)
		}
		if secret, err = s.changeSigning(&r, change); err != nil {
			return err
		}
		r.UpdatedAt = db.Millis(s.now())
		if err := updateRow(tx, r); err != nil {
			return err
		}
		_, err = s.events.Append(tx, r.Account, r.ID, "webhook.updated", map[string]any{"name": r.Name, "enabled": r.Enabled, "tokenRotated": in.RegenerateToken})
		return err
	})
	if err != nil {
		return One{}, err
	}
	return s.show(r, token, secret), nil
}

// OK is the answer of a deletion.
type OK struct {
	OK bool `json:"ok"`
}

// Delete removes a webhook and its history; its URL stops working at once. A turn under way ends by itself.
func (s *Service) Delete(ctx context.Context, in GetIn) (OK, error) {
	err := s.db.Update(ctx, func(tx *db.Tx) error {
		r, err := find(tx, op.ActorFrom(ctx).Account, in.ID)
		if err != nil {
			return err
		}
		if err := s.events.Forget(tx, r.Account, r.ID); err != nil {
			return err
		}
		tx.OnCommit(func() { s.forgetLimit(r.ID) })
		return deleteRow(tx, r.Account, r.ID)
	})
	return OK{err == nil}, err
}

// DeliveriesIn is the input of Deliveries.
type DeliveriesIn struct {
	ID    string `json:"id" doc:"The webhook's id or name." ref:"webhook"`
	Limit int    `json:"limit,omitempty" doc:"At most so many; 50 when left out." min:"1" max:"500"`
	After string `json:"after,omitempty" doc:"The next field of the answer before."`
	Full  bool   `json:"full,omitempty" doc:"Show payloads whole instead of their first 500 bytes."`
}

// DeliveriesOut is the output of Deliveries.
type DeliveriesOut struct {
	Deliveries []Delivery `json:"deliveries"`
	Next       string     `json:"next,omitempty"`
}

// Deliveries lists the calls of a webhook, newest first.
func (s *Service) Deliveries(ctx context.Context, in DeliveriesIn) (DeliveriesOut, error) {
	limit := in.Limit
	if limit == 0 {
		limit = 50
	}
	var w row
	var rows []deliveryRow
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		if w, err = find(tx, op.ActorFrom(ctx).Account, in.ID); err != nil {
			return err
		}
		rows, err = listDeliveries(tx, w.Account, w.ID, in.After, limit)
		return err
	})
	if err != nil {
		return DeliveriesOut{}, err
	}
	out := DeliveriesOut{Deliveries: []Delivery{}}
	for _, r := range rows {
		d := r.delivery(w.ChatID)
		if d.Payload = r.Payload; !in.Full && len(d.Payload) > shownPayload {
			n := shownPayload
			for !utf8.RuneStart(d.Payload[n]) {
				n--
			}
			d.Payload, d.Truncated = d.Payload[:n], true
		}
		out.Deliveries = append(out.Deliveries, d)
	}
	if len(rows) == limit {
		out.Next = rows[len(rows)-1].ID
	}
	return out, nil
}

// ReplayIn is the input of Replay.
type ReplayIn struct {
	ID       string `json:"id" doc:"The webhook's id or name." ref:"webhook"`
	Delivery string `json:"delivery" doc:"The id of the delivery, dlv_…"`
}

// ReplayOut is the output of Replay.
type ReplayOut struct {
	Delivery Delivery `json:"delivery"`
}

// Replay carries out a delivery again, with the webhook's present template, also when the webhook is disabled.
func (s *Service) Replay(ctx context.Context, in ReplayIn) (ReplayOut, error) {
	var w row
	var d deliveryRow
	err := s.db.Update(ctx, func(tx *db.Tx) (err error) {
		if w, err = find(tx, op.ActorFrom(ctx).Account, in.ID); err != nil {
			return err
		}
		old, err := getDelivery(tx, w.Account, w.ID, in.Delivery)
		if errors.Is(err, db.ErrNoRows) {
			return errs.New(errs.NotFound, "The webhook %q has no delivery %q.", w.Name, in.Delivery)
		} else if err != nil {
			return err
		}
		if old.FinishedAt == 0 {
			return errs.New(errs.Conflict, "The delivery %s has not ended yet. Wait for its end before it is carried out again.", old.ID)
		}
		d = deliveryRow{ID: id.New(deliveryPrefix), Account: w.Account, Webhook: w.ID, Method: old.Method, Payload: old.Payload, Template: w.Template, Scopes: w.Scopes,
			ReplayOf: old.ID, Status: statusQueued, CreatedAt: db.Millis(s.now())}
		return s.add(tx, d)
	})
	if err != nil {
		return ReplayOut{}, err
	}
	return ReplayOut{d.delivery(w.ChatID)}, nil
}
