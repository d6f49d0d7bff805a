package op

import (
	"context"
	"encoding/json"
	"reflect"
)

// Text is content that REST carries as a raw body, byte for byte, and every other surface as a JSON string.
type Text []byte

// MarshalJSON writes the text as a JSON string; bytes that are not UTF-8 become U+FFFD.
func (t Text) MarshalJSON() ([]byte, error) { return json.Marshal(string(t)) }

// UnmarshalJSON reads a JSON string.
func (t *Text) UnmarshalJSON(raw []byte) error {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	*t = Text(s)
	return nil
}

var textType = reflect.TypeFor[Text]()

type bodyKey struct{}

// WithBody gives an operation with a raw body field the bytes for it.
func WithBody(ctx context.Context, body []byte) context.Context {
	return context.WithValue(ctx, bodyKey{}, body)
}

// Body answers the bytes that were given with WithBody.
func Body(ctx context.Context) (body []byte, given bool) {
	body, given = ctx.Value(bodyKey{}).([]byte)
	return body, given
}
