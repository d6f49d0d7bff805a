package planner

import (
	"encoding/json"
	"slices"
	"strings"

	"yardmaster/internal/llm"
	"yardmaster/internal/llm/planner/lang"
)

// slotType says what fills a parameter.
type slotType int

const (
	slotWords   slotType = iota // free text
	slotRef                     // one resource
	slotRefs                    // several resources
	slotName                    // the name of something new
	slotPath                    // a file's path
	slotCommand                 // a shell command
	slotText                    // text that is stored as it stands
	slotPairs                   // key=value pairs
	slotEnv                     // environment variables
	slotLimits                  // sizes and other limits
	slotHosts                   // host names
	slotCron                    // a schedule
	slotZone                    // a time zone
	slotValue                   // a secret value
	slotInt                     // a number
	slotBool                    // yes or no
	slotSource                  // a URL or path to import from
	slotEnum                    // one of a few words
	slotObject                  // structure that people don't say
)

// slot is one parameter of a tool.
type slot struct {
	name     string
	typ      slotType
	ref      string
	required bool
	enum     []string
	doc      string
}

// tool is a declared operation with what the planner reads out of it.
type tool struct {
	llm.Tool
	resource string // plural: instances
	kind     string // singular: instance
	action   string // the last part of the name: create
	slots    []slot
	nouns    map[string]bool
}

func (t *tool) slot(name string) *slot {
	for i := range t.slots {
		if t.slots[i].name == name {
			return &t.slots[i]
		}
	}
	return nil
}

// has answers the first slot of a type.
func (t *tool) has(typ slotType) *slot {
	for i := range t.slots {
		if t.slots[i].typ == typ {
			return &t.slots[i]
		}
	}
	return nil
}

// refTo answers the slot that takes a resource of a kind.
func (t *tool) refTo(kind string) *slot {
	for i := range t.slots {
		if s := &t.slots[i]; (s.typ == slotRef || s.typ == slotRefs) && s.ref == kind {
			return s
		}
	}
	return nil
}

func (t *tool) reads() bool    { return t.Effect == "read" || t.Effect == "" }
func (t *tool) destroys() bool { return t.Effect == "destroy" }

// verb is a phrase that people use for tools; "*" stands for the words between a verb and its particle.
type verb struct {
	words []string
	tools []*tool
}

// lexicon is all the planner knows about what can be asked for, built from the tool list alone.
type lexicon struct {
	tools  map[string]*tool
	order  []*tool
	verbs  map[string][]*verb // by first word
	nouns  map[string][]*tool // by noun phrase
	kinds  map[string]string  // noun phrase of a thing → kind
	words  map[string]bool    // every word in the lexicon, for typo repair
	plural map[string]string  // kind → plural
}

// base holds further words for actions that any resource may have, so that a tool is understood by its name alone.
var base = map[string][]string{
	"list":   {"list", "show", "which", "what", "display", "give me", "get", "how many", "see", "count"},
	"get":    {"show", "describe", "get", "tell me about", "what is"},
	"create": {"create", "make", "add", "new", "set up", "build", "spawn"},
	"update": {"update", "change", "edit", "set", "modify", "alter"},
	"delete": {"delete", "remove", "get rid of", "destroy", "drop", "erase"},
	"start":  {"start", "turn on", "turn * on"}, "stop": {"stop", "turn off", "turn * off", "halt"},
	"restart": {"restart", "reboot", "bounce"}, "run": {"run", "trigger", "execute"}, "test": {"test", "try"},
	"wait": {"wait for"}, "cancel": {"cancel", "abort"}, "clone": {"clone", "copy", "duplicate"},
}

// idioms holds statements of will that people use for an operation.
var idioms = map[string][]string{
	"instances_delete": {"clear out", "do away with"},
	"secrets_revoke":   {"delete", "erase", "unshare"},
	"config_update":    {"should have", "needs", "gets", "may have", "can have", "must have", "should get", "may use", "may access", "can access"},
	"secrets_update":   {"should be global", "must be global", "should not be global", "should no longer be global", "is no longer global"},
	"webhooks_update":  {"give * a new", "needs a new", "issue a new"},
}

func newLexicon(tools []llm.Tool) *lexicon {
	lx := &lexicon{tools: map[string]*tool{}, verbs: map[string][]*verb{}, nouns: map[string][]*tool{}, kinds: map[string]string{},
		words: map[string]bool{}, plural: map[string]string{}}
	for _, d := range tools {
		t := newTool(d)
		lx.tools[d.Name] = t
		lx.order = append(lx.order, t)
	}
	for _, t := range lx.order {
		for i := range t.slots { // an id without annotation names the resource itself, or the instance that has it
			if s := &t.slots[i]; s.name == "id" && s.ref == t.kind && !lx.listable(t) {
				s.ref = "instance"
			}
		}
		phrases := append(append(slices.Clone(t.Verbs), base[t.action]...), idioms[t.Name]...)
		if len(t.Verbs) == 0 {
			phrases = append(phrases, strings.ReplaceAll(t.action, "_", " "))
		}
		for _, p := range phrases {
			lx.addVerb(p, t)
		}
		for _, n := range append(slices.Clone(t.Nouns), t.kind) {
			lx.addNoun(n, t)
		}
	}
	lx.addKinds()
	return lx
}

// listable tells whether a tool's resource can be listed on its own, so that its members can be named.
func (lx *lexicon) listable(t *tool) bool {
	list := lx.tools[t.resource+"_list"]
	return list != nil && !slices.ContainsFunc(list.slots, func(s slot) bool { return s.required })
}

func newTool(d llm.Tool) *tool {
	resource, action, found := strings.Cut(d.Name, "_")
	if !found {
		action = d.Name
	}
	t := &tool{Tool: d, resource: d.Resource, action: action, nouns: map[string]bool{}}
	if t.resource == "" || found {
		t.resource = resource
	}
	t.kind = lang.Singular(t.resource)
	t.slots = readSlots(d, t)
	return t
}

// readSlots reads the input schema into slots; the order is required first, then by name.
func readSlots(d llm.Tool, t *tool) []slot {
	var schema struct {
		Properties map[string]struct {
			Type        any             `json:"type"`
			Ref         string          `json:"x-ref"`
			Description string          `json:"description"`
			Enum        []any           `json:"enum"`
			Items       json.RawMessage `json:"items"`
		} `json:"properties"`
		Required []string `json:"required"`
	}
	if len(d.Schema) == 0 || json.Unmarshal(d.Schema, &schema) != nil {
		return nil
	}
	var out []slot
	for name, p := range schema.Properties {
		s := slot{name: name, ref: strings.TrimSuffix(p.Ref, "s"), required: slices.Contains(schema.Required, name), doc: p.Description}
		for _, e := range p.Enum {
			if text, ok := e.(string); ok {
				s.enum = append(s.enum, text)
			}
		}
		typ, _ := p.Type.(string)
		if types, ok := p.Type.([]any); ok {
			for _, v := range types {
				if text, ok := v.(string); ok && text != "null" {
					typ = text
				}
			}
		}
		var items struct {
			Ref string `json:"x-ref"`
		}
		if len(p.Items) > 0 && json.Unmarshal(p.Items, &items) == nil && s.ref == "" {
			s.ref = strings.TrimSuffix(items.Ref, "s")
		}
		if s.ref == "" && name == "id" {
			s.ref = t.kind
		}
		s.typ = slotTypeOf(name, typ, s, t)
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b slot) int {
		if a.required != b.required {
			if a.required {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return out
}

// slotTypeOf tells what fills a parameter, from its annotation, its type and what its name says.
func slotTypeOf(name, typ string, s slot, t *tool) slotType {
	low := strings.ToLower(name)
	switch {
	case s.ref != "" && typ == "array":
		return slotRefs
	case s.ref != "":
		return slotRef
	case len(s.enum) > 0:
		return slotEnum
	case low == "name":
		return slotName
	case low == "path":
		return slotPath
	case low == "command":
		return slotCommand
	case low == "content" || low == "prompt" || low == "instructions" || strings.HasSuffix(low, "template") || low == "description" || low == "text":
		return slotText
	case low == "labels":
		return slotPairs
	case low == "environment":
		return slotEnv
	case low == "limits":
		return slotLimits
	case low == "hosts" || low == "egressallow":
		return slotHosts
	case strings.Contains(low, "cron"):
		return slotCron
	case strings.Contains(low, "timezone"):
		return slotZone
	case low == "value":
		return slotValue
	case low == "source" || low == "checkpointrepo":
		return slotSource
	case typ == "boolean":
		return slotBool
	case typ == "integer" || typ == "number":
		return slotInt
	case typ == "object" || typ == "array":
		return slotObject
	}
	return slotWords
}

// phrase splits a phrase of the vocabulary the way people's text is split, so that both meet in one spelling.
func phrase(p string) []string {
	var out []string
	for _, f := range strings.Fields(strings.ToLower(p)) {
		if f == "*" || f == "…" {
			out = append(out, "*")
			continue
		}
		for _, t := range lang.Tokenize(f) {
			out = append(out, t.Low)
		}
	}
	return out
}

func (lx *lexicon) addVerb(p string, t *tool) {
	words := phrase(p)
	if len(words) == 0 || words[0] == "*" {
		return
	}
	for _, w := range words {
		if len(w) > 4 {
			lx.words[w] = true
		}
	}
	for _, v := range lx.verbs[words[0]] {
		if slices.Equal(v.words, words) {
			if !slices.Contains(v.tools, t) {
				v.tools = append(v.tools, t)
			}
			return
		}
	}
	lx.verbs[words[0]] = append(lx.verbs[words[0]], &verb{words, []*tool{t}})
}

func (lx *lexicon) addNoun(n string, t *tool) {
	words := phrase(n)
	if len(words) == 0 {
		return
	}
	for i, w := range words {
		words[i] = lang.Singular(w)
		if len(w) > 4 {
			lx.words[w], lx.words[lang.Singular(w)], lx.words[lang.Singular(w)+"s"] = true, true, true
		}
	}
	key := strings.Join(words, " ")
	if !slices.Contains(lx.nouns[key], t) {
		lx.nouns[key] = append(lx.nouns[key], t)
	}
	t.nouns[key] = true
}

// addKinds finds the nouns that name a thing itself: those by which it is deleted, or listed where nothing deletes it.
func (lx *lexicon) addKinds() {
	for _, t := range lx.order {
		if !lx.listable(t) {
			continue
		}
		if lx.plural[t.kind] == "" {
			lx.plural[t.kind] = t.resource
			lx.kinds[t.kind] = t.kind
		}
		if t.action == "delete" {
			for n := range t.nouns {
				if lx.kinds[n] == "" || n == t.kind {
					lx.kinds[n] = t.kind
				}
			}
		}
	}
	for _, t := range lx.order {
		if t.action == "list" && lx.listable(t) {
			for n := range t.nouns {
				if lx.kinds[n] == "" && lx.tools[t.resource+"_delete"] == nil {
					lx.kinds[n] = t.kind
				}
			}
		}
	}
}

// verbHit is a verb phrase found in a text.
type verbHit struct {
	v    *verb
	i, j int   // from its first to behind its last token
	at   []int // the tokens that it is made of
}

// verbAt finds the verb phrases that begin at toks[i], longest first.
func (lx *lexicon) verbAt(toks []lang.Token, i int) []verbHit {
	if i >= len(toks) || toks[i].Kind != lang.Word && toks[i].Kind != lang.Ident || toks[i].Poss {
		return nil
	}
	var out []verbHit
	for _, form := range lang.Stem(toks[i].Low) {
		for _, v := range lx.verbs[form] {
			if at := v.match(toks, i); at != nil {
				out = append(out, verbHit{v, i, at[len(at)-1] + 1, at})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b verbHit) int { return len(b.at) - len(a.at) })
	return out
}

// match answers the tokens that a phrase takes at toks[i]; nil when it is not there. A gap holds one to six tokens, no
// sentence end.
func (v *verb) match(toks []lang.Token, i int) []int {
	at := []int{i}
	k := i + 1
	for n := 1; n < len(v.words); n++ {
		if v.words[n] == "*" {
			if n+1 >= len(v.words) {
				return at
			}
			found := -1
			for j := k + 1; j < len(toks) && j <= k+7; j++ {
				if toks[j].Is(".", ";", "?", "!") {
					break
				}
				if sameWord(toks[j], v.words[n+1]) {
					found = j
					break
				}
			}
			if found < 0 {
				return nil
			}
			k = found
			continue
		}
		for k < len(toks) && len(v.words) > 2 && toks[k].Is("only", "now", "also", "just", "always", "still", "then") && toks[k].Low != v.words[n] {
			k++
		}
		if k >= len(toks) || !sameWord(toks[k], v.words[n]) {
			return nil
		}
		at = append(at, k)
		k++
	}
	return at
}

func sameWord(t lang.Token, w string) bool {
	if !t.Wordy() {
		return false
	}
	if t.Low == w {
		return true
	}
	return slices.Contains(lang.Stem(t.Low), w)
}

// nounAt finds the longest noun phrase of the lexicon at toks[i] and how many tokens it takes.
func (lx *lexicon) nounAt(toks []lang.Token, i int) (string, int) {
	for n := min(3, len(toks)-i); n >= 1; n-- {
		words := make([]string, 0, n)
		for _, t := range toks[i : i+n] {
			if t.Kind != lang.Word && t.Kind != lang.Ident {
				break
			}
			words = append(words, lang.Singular(t.Low))
		}
		if len(words) == n {
			if key := strings.Join(words, " "); lx.nouns[key] != nil || lx.kinds[key] != "" {
				return key, n
			}
		}
	}
	return "", 0
}

// repair mends slips of the keyboard in plain words, against the lexicon only. It answers the words that it changed.
func (lx *lexicon) repair(toks []lang.Token, keep func(i int) bool) map[int]bool {
	changed := map[int]bool{}
	for i := range toks {
		t := &toks[i]
		if t.Kind != lang.Word || len(t.Low) < 4 || lx.words[t.Low] || lang.Common(t.Low) || lang.IsUpper(t.Text) || keep(i) || lx.known(t.Low) {
			continue
		}
		best, distance := "", 99
		for w := range lx.words {
			if lang.Near(t.Low, w) {
				if d := lang.Distance(t.Low, w); d < distance || d == distance && w < best {
					best, distance = w, d
				}
			}
		}
		if best != "" {
			t.Low = best
			changed[i] = true
		}
	}
	return changed
}

// known tells whether a word is in the lexicon in some inflected form.
func (lx *lexicon) known(w string) bool {
	for _, f := range lang.Stem(w) {
		if lx.words[f] || lx.verbs[f] != nil {
			return true
		}
	}
	s := lang.Singular(w)
	return lx.nouns[s] != nil || lx.kinds[s] != ""
}
