package webhook

import (
	"encoding/json"
	"fmt"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
)

const (
	// overlap is how long the secret before stays good after a change, unless the change says otherwise.
	overlap = 24 * time.Hour
	// maxOldSecrets bounds how many secrets before the present one can be good.
	maxOldSecrets = 3
)

// signing is what a webhook keeps sealed. Sealed texts are bound to the account only, so it says whose it is.
type signing struct {
	Webhook string       `json:"webhook"`
	Secrets []signSecret `json:"secrets"` // the present one first
}

type signSecret struct {
	Value string `json:"value"`
	Until int64  `json:"until,omitempty"` // in milliseconds; 0 for the present one
}

// secrets are the values that are good at a time, the present one first.
func (g signing) secrets(now time.Time) []signSecret {
	var out []signSecret
	for _, k := range g.Secrets {
		if k.Until == 0 || k.Until > db.Millis(now) {
			out = append(out, k)
		}
	}
	return out
}

func (s *Service) openSigning(r row) (signing, error) {
	var g signing
	if r.Sealed == "" {
		return g, nil
	}
	plain, err := s.seal.Open(r.Account, r.Sealed)
	if err == nil {
		err = json.Unmarshal(plain, &g)
	}
	if err == nil && g.Webhook != r.ID {
		err = fmt.Errorf("it is that of %s", g.Webhook)
	}
	if err != nil {
		return signing{}, errs.Wrap(fmt.Errorf("signing secret of %s: %w", r.ID, err), errs.Internal, "The signing secret of this webhook can't be opened; rotate it.")
	}
	return g, nil
}

// signingChange is what may be changed about signatures; what is nil stays.
type signingChange struct {
	scheme  *string
	require *bool
	secret  *string // a secret that the sender gave
	rotate  bool
	overlap time.Duration
}

// changeSigning changes how calls are signed, and answers a secret that was made for it, or "".
func (s *Service) changeSigning(r *row, c signingChange) (made string, err error) {
	required := c.require != nil && *c.require
	scheme := r.Signature
	switch {
	case c.scheme != nil:
		scheme = *c.scheme
	case scheme == none && required:
		scheme = standard
	}
	if scheme == none {
		switch {
		case required:
			return "", errs.BadField("requireSignature", "needs a way of signing; set signature to standard, github or stripe")
		case c.secret != nil:
			return "", errs.BadField("signingSecret", "nothing is signed here; set signature to standard, github or stripe as well")
		case c.rotate:
			return "", errs.BadField("rotateSigningSecret", "nothing is signed here; set signature to standard, github or stripe as well")
		}
		r.Signature, r.RequireSignature, r.Sealed = none, false, ""
		return "", nil
	}
	changed := scheme != r.Signature
	r.Signature = scheme
	if c.require != nil {
		r.RequireSignature = *c.require
	} else if changed {
		r.RequireSignature = true
	}
	if !changed && !c.rotate && c.secret == nil {
		return "", nil
	}
	secret := makeSecret(scheme)
	if c.secret != nil {
		if secret = *c.secret; checkSecret(scheme, secret) != nil {
			return "", checkSecret(scheme, secret)
		}
	} else {
		made = secret
	}
	g := signing{Webhook: r.ID, Secrets: []signSecret{{Value: secret}}}
	if !changed && c.overlap > 0 {
		before, err := s.openSigning(*r)
		if err != nil { // what can't be opened can't be good either
			s.log.Warn("the signing secret before a change can't be opened; it is dropped", "webhook", r.ID, "error", err)
		}
		until := db.Millis(s.now().Add(c.overlap))
		for _, k := range before.secrets(s.now()) {
			if k.Value == secret || len(g.Secrets) > maxOldSecrets {
				continue
			}
			if k.Until == 0 || k.Until > until {
				k.Until = until
			}
			g.Secrets = append(g.Secrets, k)
		}
	}
	plain, err := json.Marshal(g)
	if err != nil {
		return "", err
	}
	r.Sealed, err = s.seal.Seal(r.Account, plain)
	return made, err
}
