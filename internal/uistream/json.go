package uistream

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD. Nothing is escaped for HTML.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		b := s[i]
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += size
			continue
		}
		if b >= 0x20 && b != '"' && b != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

// appendText appends a string field, empty or not.
func appendText(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, ',', '"'), name...), '"', ':')
	return appendString(dst, value)
}

// appendField appends a string field unless it is empty.
func appendField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendText(dst, name, value)
}

// appendAny appends a field of any JSON; null when there is none.
func appendAny(dst []byte, name string, raw json.RawMessage) []byte {
	dst = append(append(append(dst, ',', '"'), name...), '"', ':')
	return append(dst, Clean(raw)...)
}

// appendMetadata appends message metadata when it is an object: clients merge it, and merging anything else throws.
func appendMetadata(dst []byte, raw json.RawMessage) []byte {
	if !isObject(raw) {
		return dst
	}
	return appendAny(dst, "messageMetadata", raw)
}

func isObject(raw json.RawMessage) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}

// Clean answers a JSON value in a form that is safe to send: one line without spaces, valid UTF-8, and without the keys
// that end a client's stream, because its parser refuses them against prototype pollution: "__proto__" becomes "[__proto__]",
// and a "constructor" that is an object becomes "[constructor]". Numbers stay as they are, digit for digit. An empty value
// becomes null, and what is not JSON becomes a string of its text. The answer may share memory with raw.
func Clean(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	if !utf8.Valid(raw) {
		raw = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
	}
	if !json.Valid(raw) {
		return appendString(nil, string(raw))
	}
	if hasSpace(raw) {
		var b bytes.Buffer
		b.Grow(len(raw))
		if err := json.Compact(&b, raw); err != nil {
			return appendString(nil, string(raw))
		}
		raw = b.Bytes()
	}
	// An escape may spell a key differently, so that it is looked at as well.
	if !bytes.Contains(raw, []byte("__proto__")) && !bytes.Contains(raw, []byte("constructor")) && !bytes.Contains(raw, []byte(`\u`)) {
		return raw
	}
	return renameKeys(raw)
}

// hasSpace tells whether there is white space outside the strings of a JSON text.
func hasSpace(raw []byte) bool {
	quoted := false
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++
		case ' ', '\t', '\r', '\n':
			if !quoted {
				return true
			}
		}
	}
	return false
}

// renameKeys copies a valid, compact JSON text with the forbidden keys renamed. In such a text a string is a key exactly
// when a colon follows it.
func renameKeys(raw []byte) []byte {
	out := make([]byte, 0, len(raw)+16)
	for i := 0; i < len(raw); {
		if raw[i] != '"' {
			out = append(out, raw[i])
			i++
			continue
		}
		end := i + 1
		for raw[end] != '"' {
			if raw[end] == '\\' {
				end++
			}
			end++
		}
		end++
		text := raw[i:end]
		i = end
		if i+1 < len(raw) && raw[i] == ':' {
			switch key := decodeKey(text); {
			case key == "__proto__", key == "constructor" && raw[i+1] == '{':
				out = appendString(out, "["+key+"]")
				continue
			}
		}
		out = append(out, text...)
	}
	return out
}

func decodeKey(text []byte) string {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return ""
	}
	return s
}
