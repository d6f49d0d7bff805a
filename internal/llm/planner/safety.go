package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// holdWords in the answer to "shall I go ahead?" speak against it, or for another time, whatever else the answer says.
var holdWords = []string{"keep", "leave", "later", "never", "nevermind", "touch", "think", "thinking", "thought", "wait", "hold", "rather", "better", "instead", "forget", "cancel", "abort", "tomorrow",
	"tonight", "soon", "eventually", "until", "after", "unless", "if", "maybe", "perhaps", "spare", "save", "stop", "unsure", "hesitate", "regret", "first", "not"}

// holdsBack tells whether an answer speaks against going ahead. An answer that picks a part of the list is read as such,
// unless it picks nothing.
func holdsBack(toks []lang.Token) bool {
	ws := wordsOf(toks)
	holds := slices.ContainsFunc(ws, func(w string) bool { return slices.Contains(holdWords, w) })
	if !holds {
		return false
	}
	return !slices.Contains(ws, "only") && !slices.ContainsFunc(toks, named)
}

// named tells whether a token may be the name of something: an answer with names picks. Names of one or two letters are
// plain words to the tokeniser.
func named(t lang.Token) bool {
	switch t.Kind {
	case lang.Ident, lang.Quote, lang.Code:
		return true
	case lang.Word:
		return len(t.Text) <= 2 && !slices.Contains([]string{"it", "do", "of", "on", "i", "me", "so", "no", "ok", "to", "or", "if", "be", "is", "am", "as", "at", "we", "my", "a", "hm", "um", "oh", "ah", "us", "by", "in"}, t.Low)
	}
	return false
}

// exempts tells whether an answer leaves something out of the list.
func exempts(toks []lang.Token) bool {
	return slices.ContainsFunc(wordsOf(toks), func(w string) bool {
		return slices.Contains([]string{"except", "excluding", "but", "without", "apart", "besides", "not", "keep", "spare", "leave"}, w)
	})
}

// retractions are phrases behind a request that take it back or begin another in its place.
var retractions = [][]string{{"never", "mind"}, {"nevermind"}, {"forget", "it"}, {"forget", "that"}, {"forget", "about", "it"}, {"scratch", "that"}, {"strike", "that"}, {"actually", "no"}, {"actually", "not"}, {"actually", "do", "not"},
	{"on", "second", "thought"}, {"or", "rather"}, {"rather", "not"}, {"no", "wait"}, {"wait", "no"}, {"no", "hold", "on"}, {"changed", "my", "mind"}, {"cancel", "that"}, {"better", "not"}, {"i", "take", "that", "back"}, {"just", "kidding"},
	{"mean", "nothing"}, {"meant", "nothing"}}

// retracted deals with a message that takes back or replaces, behind its beginning, what it asked for. Which part still
// counts is a guess, so nothing is done: one more message is a small price.
func (r *run) retracted(raw []lang.Token) bool {
	var words []string
	for _, t := range raw {
		switch {
		case t.Kind == lang.Word || t.Kind == lang.Ident:
			words = append(words, strings.ToLower(t.Low))
		case t.Kind == lang.Punct && t.Is(":"):
			return false // what comes behind is text
		case t.Kind != lang.Punct:
			words = append(words, "\x00")
		}
	}
	for i, t := range raw {
		if i >= 2 && i+1 < len(raw) && t.Is("no") && raw[i-1].Kind == lang.Punct && raw[i+1].Is(",") {
			r.out.fail("You changed your mind within the message, so nothing was done. What should I do? Please say it in one piece.")
			return true
		}
	}
	for i := 2; i < len(words); i++ {
		for _, p := range retractions {
			if i+len(p) > len(words) || !slices.Equal(words[i:i+len(p)], p) {
				continue
			}
			if i+len(p) == len(words) {
				r.out.done("Okay, nothing was done.")
			} else {
				r.out.fail("You changed your mind within the message, so nothing was done. What should I do? Please say it in one piece.")
			}
			return true
		}
	}
	return false
}

// messenger refuses requests to pass something on to somebody: what they are to do is no order to the platform.
func (r *run) messenger(raw []lang.Token) bool {
	for i, t := range raw {
		switch {
		case t.Is("please", "can", "could", "would", "you", "now", "then", "and", ",", "hi", "hello", "hey"):
			continue
		case t.Is("tell", "ask", "remind", "email", "notify", "inform", "instruct", "advise") && i+1 < len(raw) && !raw[i+1].Is("me", "us", "it", "them", "how", "which", "what", "whether", "if"):
			owner := slices.ContainsFunc(raw[i+1:], func(w lang.Token) bool {
				return w.Is("owner", "owners", "team", "boss", "manager", "user", "users", "people", "person", "guy", "guys", "mike", "him", "her", "everyone", "everybody", "someone", "somebody", "colleague", "admin")
			})
			if owner {
				r.out.fail("I can't pass messages on to people, so nothing was done.")
			}
			return owner
		}
		return false
	}
	return false
}
