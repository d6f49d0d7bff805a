package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// foreignWords are common words of languages that the planner does not speak.
var foreignWords = []string{"bitte", "alle", "lösche", "löschen", "und", "ist", "nicht", "mit", "für", "eine", "einen", "instanzen", "instanz", "starte", "stoppe",
	"zeige", "mir", "meine", "auf", "erstelle", "neu", "neue", "den", "dem", "les", "des", "toutes", "tous", "supprime", "supprimer", "crée", "liste", "une", "mes", "sur", "redémarre",
	"por", "favor", "todas", "todos", "borra", "elimina", "las", "los", "una", "muestra", "mis", "crea", "reinicia", "tutte", "cancella", "mostra", "alle", "verwijder", "toon", "het", "een",
	"s'il", "vous", "plaît", "arrête", "montre", "las", "instancias", "istanze", "quiero", "puedes", "peux", "kannst", "du", "ich", "möchte", "je", "voudrais", "apague", "exclua", "todas", "minhas", "instâncias", "usuń", "wszystkie", "пожалуйста", "удали", "все"}

// foreign tells whether a message is in another language: several of its words are, and few are English.
func (r *run) foreign(toks []lang.Token) bool {
	n, words, other := 0, 0, 0
	for _, t := range toks {
		if t.Kind != lang.Word {
			continue
		}
		words++
		low := strings.ToLower(t.Text)
		if slices.Contains(foreignWords, low) {
			n++
		}
		for _, c := range t.Text {
			if c > 0x24F {
				other++
				break
			}
		}
	}
	return n >= 2 && n*5 >= words*2 || words >= 2 && other*2 > words
}

var greetings = []string{"hi", "hello", "hey", "hallo", "good", "morning", "evening", "afternoon", "day", "there", "operator", "yardmaster", "greetings", "howdy", "how", "are", "you", "doing", "today", "again", "all", "well", "yo", "is", "it", "going", "sup", "everyone"}
var thanksWords = []string{"thanks", "thank", "you", "so", "very", "much", "a", "lot", "great", "good", "job", "well", "done", "perfect", "nice", "cheers", "okay", "cool", "awesome", "excellent", "work", "that", "is", "all", "for", "now", "lovely", "fine", "this", "was", "helpful", "bye", "goodbye", "many", "wonderful", "it", "works", "brilliant", "super", "got", "alright", "see", "later", "operator"}
var yesWords = []string{"yes", "sure", "okay", "confirm", "confirmed", "absolutely", "definitely", "affirmative", "proceed", "correct", "right", "indeed", "certainly", "exactly", "agreed", "ja", "oui", "si", "yessir", "totally", "positive"}
var noWords = []string{"no", "nevermind", "cancel", "abort", "never", "not", "negative", "nein"}

// wordsOf answers a message's plain words.
func wordsOf(toks []lang.Token) []string {
	var out []string
	for _, t := range toks {
		if t.Wordy() {
			out = append(out, t.Low)
		} else if t.Kind != lang.Punct && t.Kind != lang.Item {
			out = append(out, "\x00")
		}
	}
	return out
}

func allIn(words, set []string) bool {
	return len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(set, w) })
}

// smallTalk answers greetings, thanks, a stray yes or no, and questions about the Operator itself.
func (r *run) smallTalk(toks []lang.Token) bool {
	ws := wordsOf(toks)
	joined := " " + strings.Join(ws, " ") + " "
	switch {
	case allIn(ws, greetings) && slices.ContainsFunc(ws, func(w string) bool {
		return slices.Contains([]string{"hi", "hello", "hey", "hallo", "morning", "evening", "afternoon", "greetings", "howdy", "yo", "sup", "day"}, w)
	}):
		r.out.show("Hello! I run your fleet: say what you need, for example “list my instances” or “create an instance called atlas”.")
	case allIn(ws, thanksWords) && (slices.Contains(ws, "thanks") || slices.Contains(ws, "thank") || slices.Contains(ws, "cheers") || len(ws) <= 3) && !slices.Contains(yesWords, ws[0]):
		r.out.show("You're welcome.")
	case len(ws) <= 6 && (r.isYes(ws) || allIn(ws, append([]string{"do", "it", "that", "go", "ahead", "please"}, yesWords...))):
		r.out.show("There is nothing that waits for a yes, so nothing was done. What would you like me to do?")
	case len(ws) <= 4 && allIn(ws, append([]string{"it", "that", "mind", "thanks", "leave", "please", "forget", "stop"}, noWords...)) && !slices.Contains(ws, "stop"):
		r.out.show("Okay, nothing was done.")
	case len(ws) <= 9 && (strings.Contains(joined, " what can you do ") || strings.Contains(joined, " what do you do ") || strings.Contains(joined, " who are you ") || strings.Contains(joined, " what are you ") || strings.Contains(joined, " what can i ask ") || strings.Contains(joined, " what can i do ") || strings.Contains(joined, " what can i say ") || strings.Contains(joined, " what are you able ") || strings.Contains(joined, " what are your capabilities ") || joined == " help " || joined == " help me " || joined == " help please " || joined == " please help " || strings.Contains(joined, " what are you good at ") || strings.Contains(joined, " what is possible ") || strings.Contains(joined, " how can you help ") || strings.Contains(joined, " what can you help ")):
		r.abilities()
	default:
		return false
	}
	return true
}

// isYes tells whether words are an agreement and nothing else.
func (r *run) isYes(ws []string) bool {
	if len(ws) == 0 || !slices.Contains(yesWords, ws[0]) && !(len(ws) > 1 && (ws[0] == "do" && (ws[1] == "it" || ws[1] == "that" || ws[1] == "so") || ws[0] == "go" && (ws[1] == "ahead" || ws[1] == "for" || ws[1] == "on")) || len(ws) > 1 && ws[0] == "please" && (ws[1] == "do" || ws[1] == "go")) {
		return false
	}
	for _, w := range ws {
		if !slices.Contains(yesWords, w) && !slices.Contains([]string{"please", "do", "it", "that", "so", "go", "ahead", "i", "am", "for", "thanks", "thank", "you", "just", "now", "on", "all", "of", "them", "is", "with", "mean", "really", "want", "to", "know", "what", "doing", "them", "this", "sounds", "good", "fine", "very", "well", "by", "means", "by", "course", "the", "make", "happen"}, w) {
			return false
		}
	}
	return true
}

// abilities lists what the tools can do, by resource.
func (r *run) abilities() {
	titles := []struct{ resource, title string }{
		{"instances", "Instances"}, {"files", "Files"}, {"config", "Configuration"}, {"skills", "Skills"}, {"secrets", "Secrets"}, {"automations", "Automations (schedules)"}, {"webhooks", "Webhooks"}, {"experiments", "Experiments"},
	}
	var lines []string
	seen := map[string]bool{}
	add := func(resource, title string) {
		var acts []string
		example := ""
		for _, t := range r.lx.order {
			if t.resource == resource {
				acts = append(acts, strings.ReplaceAll(t.action, "_", " "))
				if len(t.Examples) > 0 && !t.reads() && len(t.Examples[0]) < 110 && example == "" {
					example = t.Examples[0]
				}
			}
		}
		seen[resource] = true
		if len(acts) > 0 {
			lines = append(lines, sprintf("- **%s**: %s%s", title, strings.Join(acts, ", "), orWords(example, sprintf(". For example: “%s”", strings.TrimSuffix(example, ".")), "")))
		}
	}
	for _, t := range titles {
		add(t.resource, t.title)
	}
	for _, t := range r.lx.order {
		if !seen[t.resource] && t.resource != "turns" {
			add(t.resource, upperFirst(t.resource))
		}
	}
	r.out.show("I run your fleet from plain English. I can work with:\n\n%s", strings.Join(lines, "\n"))
	r.out.show("Several things in one message are fine, and so are references such as “it”, “those” or “the second one”. I ask before I delete what you did not name. Writing text or judging needs a model, which I am not.")
}

// guards finds words that forbid any change, and takes clauses out that say nothing else.
func (r *run) guards(cs []*clause) []*clause {
	var out []*clause
	for _, c := range cs {
		low := c.low(c.start)
		switch {
		case c.neg && slices.Contains([]string{"do", "change", "touch", "modify", "alter", "act", "execute", "perform", "carry"}, low) && (c.has("anything", "nothing", "something") || c.hasSeq("do", "it") || c.hasSeq("do", "that")):
			r.guarded = true
			comma := slices.IndexFunc(c.toks, func(t lang.Token) bool { return t.Is(",") })
			if comma < 0 || comma+2 > len(c.toks) {
				continue
			}
			c.toks = c.toks[comma+1:]
			c.start, c.neg = leadIn(c.toks, 0)
		case low == "no" && c.has("changes", "actions") || c.hasSeq("without", "changing", "anything") || c.hasSeq("without", "doing", "anything"):
			r.guarded = true
		}
		r.askLead(c)
		if c.start < len(c.toks) || len(c.toks) == 0 {
			out = append(out, c)
		}
	}
	if len(out) == 0 && r.guarded {
		r.out.done("Okay, nothing was changed.")
	}
	return out
}

// askLead finds questions in the dress of requests: "tell me which …", "I want to know whether …", "check if …".
func (r *run) askLead(c *clause) {
	for _, lead := range [][]string{{"i", "only", "want", "to", "know"}, {"i", "just", "want", "to", "know"}, {"i", "want", "to", "know"}, {"i", "would", "like", "to", "know"}, {"i", "wonder"}, {"i", "am", "wondering"}, {"i", "was", "wondering"},
		{"tell", "me"}, {"show", "me"}, {"let", "me", "know"}, {"find", "out"}, {"check"}, {"see"}, {"do", "you", "know"}, {"just", "tell", "me"}, {"any", "idea"}, {"remind", "me"}, {"want", "to", "know"}, {"only", "want", "to", "know"}, {"to", "know"}, {"know"}} {
		k := c.start
		if c.seqAt(k, lead...) != k {
			continue
		}
		k += len(lead)
		if k >= len(c.toks) {
			return
		}
		switch next := c.low(k); {
		case next == "if" || next == "whether":
			c.start, c.ask = k+1, true
			c.toks = append(slices.Clone(c.toks[:k]), c.toks[k+1:]...)
			c.start = k
			if k < len(c.toks) && !slices.Contains(auxWords, c.low(k)) {
				c.whether = true
			}
		case slices.Contains(whWords, next):
			c.start, c.ask = k, true
		default:
			continue
		}
		return
	}
}

// decline says plainly that a request is not one that can be carried out here.
func (r *run) decline(u *unit) {
	c := u.c
	ws := c.plainWords()
	has := func(list ...string) bool {
		return slices.ContainsFunc(ws, func(w string) bool { return slices.Contains(list, w) })
	}
	text := strings.TrimSpace(c.text(u.src))
	quote := "that"
	if len(text) <= 80 && !slices.ContainsFunc(strings.Fields(text), opaque) && len(c.of(mPair, mText, mURL)) == 0 {
		quote = "“" + text + "”"
	}
	switch {
	case has("poem", "poems", "limerick", "haiku", "story", "essay", "joke", "song", "letter", "email", "translate", "translation", "summarise", "summarize", "summary", "rewrite", "opinion", "write", "compose", "explain", "brainstorm", "invent", "draft", "spanish", "french", "german"):
		r.out.fail("I can't do %s: writing, translating and judging text needs a model, and none is connected.", quote)
	case u.rd.t != nil && u.rd.score > 1 && u.rd.verb != nil && u.rd.head:
		var odd []string
		for _, m := range c.of(mUnknown) {
			if !opaque(m.text) {
				odd = append(odd, m.text)
			}
		}
		if len(odd) > 0 {
			r.out.fail("I can't tell what %s means here, so nothing was done for %s.", ticked(odd[:min(len(odd), 3)]), quote)
		} else {
			r.out.fail("I could not make out all of %s, so nothing was done for it.", quote)
		}
		if len(u.rd.t.Examples) > 0 {
			r.out.note("A request of that kind that I understand: “%s”.", strings.TrimSuffix(u.rd.t.Examples[0], "."))
		}
	default:
		r.out.fail("I can't do %s: it is not something that I can carry out with this platform's operations.", quote)
		r.out.note("Ask “what can you do?” for what I can.")
	}
}

// composed answers the handler for requests that no single tool stands for; nil for all others.
func composed(u *unit) func(*run, *unit) {
	c := u.c
	if u.rd.t != nil && u.rd.t.Name == "automations_create" && u.rd.head && u.rd.verb.v.words[0] == "schedule" {
		return (*run).createAutomation
	}
	if u.makesWebhook() {
		return (*run).createWebhook
	}
	check := c.has("health", "digest", "overview", "summary", "status") && (c.noun("fleet", "instance") || c.has("check", "digest") || len(c.plainWords()) <= 3) && len(c.of(mPath, mCode, mURL)) == 0
	if check && !slices.ContainsFunc(c.refs(""), func(f *ref) bool { return len(f.named)+len(f.unknown) > 0 }) && (u.rd.t == nil || u.rd.t.reads() || u.rd.t.action == "test" || u.rd.t.action == "exec" || u.rd.t.action == "run") {
		return (*run).overview
	}
	return nil
}

// overview says how the fleet is: counts, what failed and why, and the table.
func (r *run) overview(u *unit) {
	if !r.lists("instance") {
		return
	}
	all := r.world.all("instance")
	if len(all) == 0 {
		r.out.show("The fleet is empty: there are no instances.")
		return
	}
	var bad []*entity
	for _, e := range all {
		if str(e.raw, "status") == "error" {
			bad = append(bad, e)
			r.out.fail("`%s` has failed%s.", e.Name, because(str(e.raw, "lastError")))
		}
	}
	r.about("instance", all...)
	health := "No instance has failed."
	if len(bad) > 0 {
		health = sprintf("%s failed.", upperFirst(r.counted(len(bad), "instance")))
	}
	r.out.show("The fleet has %s%s. %s\n\n%s", r.counted(len(all), "instance"), statusCounts(all), health, r.tableOf("instance", all))
}

// talk deals with clauses that are no request at all but a courtesy inside a longer message.
func (r *run) talk(u *unit) bool {
	ws := wordsOf(u.c.toks)
	return len(ws) > 0 && len(ws) <= 6 && (allIn(ws, thanksWords) || allIn(ws, greetings)) || len(ws) == 0 && len(u.c.mens) == 0
}
