package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"yardmaster/internal/experiment/suite"
)

// answer is one line of a reply's answers.
type answer struct {
	id    string
	value suite.Value
}

// reply is a line that a variant wrote.
type reply struct {
	kind    string
	round   string
	answers []answer
}

// parseReply reads a line strictly: one JSON object with the known fields, no case twice, only usable values.
func parseReply(line []byte) (reply, error) {
	var r reply
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if err := delim(dec, '{'); err != nil {
		return r, err
	}
	for dec.More() {
		key, err := text(dec)
		if err != nil {
			return r, err
		}
		switch key {
		case "type":
			r.kind, err = text(dec)
		case "round":
			r.round, err = text(dec)
		case "answers":
			if r.answers != nil {
				return r, errors.New("it has answers twice")
			}
			r.answers, err = parseAnswers(dec)
		default:
			return r, fmt.Errorf("it has the field %.40q, which is not part of the session", key)
		}
		if err != nil {
			return r, err
		}
	}
	if err := delim(dec, '}'); err != nil {
		return r, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("there is something behind the JSON object")
	}
	return r, nil
}

func parseAnswers(dec *json.Decoder) ([]answer, error) {
	if err := delim(dec, '{'); err != nil {
		return nil, err
	}
	out := []answer{}
	seen := map[string]bool{}
	for dec.More() {
		id, err := text(dec)
		if err != nil {
			return nil, err
		}
		if seen[id] {
			return nil, fmt.Errorf("it answers the case %.80q twice", id)
		}
		seen[id] = true
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, badJSON(err)
		}
		v, err := suite.ParseValue(raw)
		if err != nil {
			return nil, fmt.Errorf("the answer to the case %.80q %w", id, err)
		}
		out = append(out, answer{id, v})
	}
	return out, delim(dec, '}')
}

func delim(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err != nil {
		return badJSON(err)
	}
	if t != want {
		return fmt.Errorf("it has %.40v where %v must be", t, want)
	}
	return nil
}

func text(dec *json.Decoder) (string, error) {
	t, err := dec.Token()
	if err != nil {
		return "", badJSON(err)
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("it has %.40v where a text must be", t)
	}
	return s, nil
}

func badJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is not JSON: it ends too early")
	}
	return fmt.Errorf("it is not JSON: %w", err)
}
