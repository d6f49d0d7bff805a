package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"yardmaster/internal/agent"
	"yardmaster/internal/db"
	"yardmaster/internal/uistream"
)

// sealed is what is masked wherever a turn shows or stores it, and what the turn needs as it was until it ends. It is kept
// encrypted with the turn, and forgotten at its end.
type sealed struct {
	Secrets  []string                   `json:"secrets"`
	Inputs   map[string]json.RawMessage `json:"inputs"`   // of calls, by id
	Messages map[int64]string           `json:"messages"` // the parts of messages, by number
}

// maskedMessages bounds how far back in a chat a secret is looked for.
const maskedMessages = 1000

// hide stores an answer whose calls hold secrets: from here on they are masked in the chat, in what the user wrote as well.
func (r *recorder) hide(ctx context.Context, s agent.Step) error {
	r.mu.Lock()
	r.mask.learn(s.Secrets)
	r.secret.Secrets = r.mask.secrets
	if r.secret.Inputs == nil {
		r.secret.Inputs, r.secret.Messages = map[string]json.RawMessage{}, map[int64]string{}
	}
	for _, c := range s.Calls() {
		r.secret.Inputs[c.CallID] = c.Input
	}
	r.parts, _ = r.mask.parts(r.parts)
	r.mu.Unlock()
	return r.store(ctx, func(tx *db.Tx) error {
		t := r.turn
		rows, err := listMessages(tx, t.Account, t.ChatID, 1<<62, maskedMessages)
		if err != nil {
			return err
		}
		for _, row := range rows {
			parts, err := decodeParts(row.Parts)
			if err != nil {
				return err
			}
			parts, changed := r.mask.parts(parts)
			if !changed {
				continue
			}
			if row.Seq <= t.UserSeq {
				r.secret.Messages[row.Seq] = row.Parts
			}
			raw, err := encodeParts(parts)
			if err != nil {
				return err
			}
			if err := setParts(tx, row, raw); err != nil {
				return err
			}
		}
		c, ok, err := getChat(tx, t.Account, t.ChatID)
		if err != nil || !ok {
			return err
		}
		if title := r.mask.all(c.Title); title != c.Title {
			if err := setTitle(tx, t.Account, t.ChatID, title); err != nil {
				return err
			}
		}
		plain, err := json.Marshal(r.secret)
		if err != nil {
			return fmt.Errorf("seal: %w", err)
		}
		text, err := r.s.seal.Seal(t.Account, plain)
		if err != nil {
			return fmt.Errorf("seal: %w", err)
		}
		return setSealed(tx, t, text)
	})
}

// parts masks what parts hold, and tells whether there was anything.
func (m *masker) parts(parts []part) ([]part, bool) {
	return maskParts(parts, m.all, func(s string) string { return m.all(m.quoted(s)) })
}

// maskParts masks the texts of parts and the JSON in them, and tells whether there was anything.
func maskParts(parts []part, mask, maskJSON func(string) string) ([]part, bool) {
	changed := false
	text := func(s string) string {
		if s == "" {
			return s
		}
		out := mask(s)
		changed = changed || out != s
		return out
	}
	raw := func(j json.RawMessage) json.RawMessage {
		if j == nil {
			return nil
		}
		out := maskJSON(string(j))
		changed = changed || out != string(j)
		return json.RawMessage(out)
	}
	for i := range parts {
		p := &parts[i]
		p.Text, p.ErrorText = text(p.Text), text(p.ErrorText)
		p.Input, p.Output, p.extra.Result, p.Data = raw(p.Input), raw(p.Output), raw(p.extra.Result), raw(p.Data)
		if p.Type == uistream.FilePart && !strings.HasPrefix(p.URL, "data:") { // what is encoded is not readable as it is
			p.URL = text(p.URL)
		}
	}
	return parts, changed
}

// credential matches what looks like a key of a well-known service: the prefixes that these give their keys so that they
// can be found, JSON web tokens and private keys.
var credential = regexp.MustCompile(`\b(?:gh[opusr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|sk-[\w-]{20,}|[srp]k_(?:live|test)_\w{16,}|ck_live_\w{16,}|` +
	`whsec_[\w+/=]{16,}|xox[abeoprs]-[\w-]{10,}|A[KS]IA[0-9A-Z]{16}|AIza[\w-]{30,}|npm_\w{30,}|hf_\w{30,}|dop_v1_\w{30,}|SG\.[\w-]{16,}\.[\w-]{16,}|` +
	`eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,})|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----`)

// shown answers the parts of a message as they may be read back: without values of the account's secrets, and in what the
// user wrote without what looks like a key. The stored text keeps that, because a later message may say what to do with it.
func (s *Service) shown(account, role string, parts []part) []part {
	scrub := s.scrub(account)
	text := scrub
	if role == uistream.User {
		text = func(t string) string { return credential.ReplaceAllString(scrub(t), agent.Mask) }
	}
	parts, _ = maskParts(parts, text, scrub)
	return parts
}

// quoted masks the secrets that look different inside a JSON string.
func (m *masker) quoted(s string) string {
	for _, secret := range m.secrets {
		q := string(mustJSON(secret))
		if q = q[1 : len(q)-1]; q != secret {
			s = strings.ReplaceAll(s, q, agent.Mask)
		}
	}
	return s
}

// unseal opens what a turn keeps sealed; false when there is none or it can't be opened any more.
func (s *Service) unseal(t turnRow) (sealed, bool) {
	var out sealed
	if t.Sealed == "" {
		return out, false
	}
	plain, err := s.seal.Open(t.Account, t.Sealed)
	if err == nil {
		err = json.Unmarshal(plain, &out)
	}
	if err != nil {
		s.log.Warn("the secrets of an interrupted turn can't be opened; its calls with secrets count as broken off", "turn", t.ID, "error", err)
		return sealed{}, false
	}
	return out, true
}
