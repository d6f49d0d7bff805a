package uistream

import (
	"fmt"
	"strings"

	"yardmaster/internal/errs"
)

// The limits of what a client may send.
const (
	MaxMessages = 10_000
	MaxText     = 512 << 10 // bytes of text in one message
	MaxFiles    = 8 << 20   // bytes of file URLs in one message
	MaxID       = 128       // characters of a message id
)

// Validate checks the messages of a request, oldest first. The list is the client's picture of the history, so that only
// its form is checked here; the messages that are new pass CheckNew as well. The errors are Invalid or TooLarge.
func Validate(messages []Message) error {
	if len(messages) == 0 {
		return errs.BadField("messages", "needs at least one message, such as {\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"text\":\"…\"}]}")
	}
	if len(messages) > MaxMessages {
		return errs.New(errs.TooLarge, "There are %d messages; at most %d may be sent at once.", len(messages), MaxMessages)
	}
	for i, m := range messages {
		switch m.Role {
		case User, Assistant, System:
		case "":
			return errs.BadField(fmt.Sprintf("messages.%d.role", i), "is missing; it must be user, assistant or system")
		default:
			return errs.BadField(fmt.Sprintf("messages.%d.role", i), "must be user, assistant or system")
		}
	}
	return nil
}

// CheckNew checks a new user message and answers it in the form in which it is stored: text and file parts, valid UTF-8.
// Parts of other types are left out. path names the message in errors.
func CheckNew(m Message, path string) (Message, error) {
	if len(m.ID) > MaxID || strings.ContainsAny(m.ID, "\x00\r\n") {
		return m, errs.BadField(path+".id", "must be at most %d characters on one line", MaxID)
	}
	out := Message{ID: strings.ToValidUTF8(m.ID, "\uFFFD"), Role: m.Role}
	if len(m.Metadata) > 0 && len(m.Metadata) <= MaxText {
		out.Metadata = Clean(m.Metadata)
	}
	texts, files := 0, 0
	for i, p := range m.Parts {
		switch p.Type {
		case TextPart:
			texts += len(p.Text)
			text := strings.ReplaceAll(strings.ToValidUTF8(p.Text, "\uFFFD"), "\x00", "\uFFFD")
			out.Parts = append(out.Parts, Part{Type: TextPart, Text: text})
		case FilePart:
			if p.URL == "" || p.MediaType == "" {
				return m, errs.BadField(fmt.Sprintf("%s.parts.%d", path, i), "a file needs url and mediaType")
			}
			files += len(p.URL)
			out.Parts = append(out.Parts, Part{Type: FilePart, MediaType: p.MediaType, Filename: p.Filename, URL: p.URL})
		}
	}
	switch {
	case texts > MaxText:
		return m, errs.New(errs.TooLarge, "The message has %d bytes of text; at most %d are allowed. Put long text into a file.", texts, MaxText)
	case files > MaxFiles:
		return m, errs.New(errs.TooLarge, "The files of the message have %d bytes; at most %d are allowed.", files, MaxFiles)
	case files == 0 && strings.TrimSpace(out.Text()) == "":
		return m, errs.BadField(path+".parts", "the message is empty; write what you want done")
	}
	return out, nil
}
