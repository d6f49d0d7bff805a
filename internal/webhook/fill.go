package webhook

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// placeholder is where the payload goes in a template.
const placeholder = "{{payload}}"

// maxPlaces bounds how often a template may hold the placeholder: the payload is put in at each.
const maxPlaces = 5

// plainer makes the text of a template such that a quotation or a brace of it can't begin in front of a payload and end
// inside of it: no such mark that a payload can hold is left.
var plainer = strings.NewReplacer(`"`, "'", "“", "'", "”", "'", "„", "'", "{{", "{ {")

// fill puts a payload, which is JSON or empty, into every place that a template has for it. There it stands as one block,
//
//	<payload>{"reason":"disk is full"}</payload>
//
// numbered from the second on, that neither a model nor the built-in planner takes for anything but data. The payload
// can't end its block or look like a part of the text around it: see inert. An empty payload leaves nothing.
func fill(template, payload string) string {
	parts := strings.Split(template, placeholder)
	if payload == "" {
		return strings.Join(parts, "")
	}
	data := inert(payload)
	var b strings.Builder
	for i, text := range parts {
		text = plainer.Replace(text)
		b.WriteString(text)
		if i == len(parts)-1 {
			break
		}
		if text != "" && !strings.HasSuffix(text, " ") && !strings.HasSuffix(text, "\n") {
			b.WriteByte(' ') // a word such as "id=" must not run into the block
		}
		tag := "payload"
		if i > 0 {
			tag += "-" + strconv.Itoa(i+1)
		}
		b.WriteString("<" + tag + ">" + data + "</" + tag + ">")
	}
	return b.String()
}

// inert rewrites a JSON text, without a change of its meaning, such that it holds no mark that ends a tag, a fence or a
// quotation other than JSON's own, no line break and nothing invisible. In JSON all of these can stand inside of strings
// only, where an escape says the same.
func inert(payload string) string {
	var b strings.Builder
	for _, r := range payload {
		switch {
		case strings.ContainsRune("<>`'‘’‚“”„«»", r), r != ' ' && !unicode.IsPrint(r):
			if r > 0xFFFF {
				r -= 0x10000
				fmt.Fprintf(&b, `\u%04x\u%04x`, 0xD800+(r>>10), 0xDC00+(r&0x3FF))
			} else {
				fmt.Fprintf(&b, `\u%04x`, r)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
