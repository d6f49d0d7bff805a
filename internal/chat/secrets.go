package chat

import (
	"context"
	"encoding/json"
	"fmt"
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
	changed := false
	mask := func(s string) string {
		out := m.all(s)
		changed = changed || out != s
		return out
	}
	raw := func(j json.RawMessage) json.RawMessage {
		if j == nil {
			return nil
		}
		return json.RawMessage(mask(m.quoted(string(j))))
	}
	for i := range parts {
		p := &parts[i]
		p.Text, p.ErrorText = mask(p.Text), mask(p.ErrorText)
		p.Input, p.Output, p.extra.Result, p.Data = raw(p.Input), raw(p.Output), raw(p.extra.Result), raw(p.Data)
		if p.Type == uistream.FilePart && strings.HasPrefix(p.URL, "data:") {
			continue // encoded; what it holds is not readable as it is
		}
		p.URL = mask(p.URL)
	}
	return parts, changed
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
