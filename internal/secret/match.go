package secret

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"strings"
)

const (
	// minMatch is the length from which a value is looked for; shorter ones occur in ordinary text.
	minMatch = 8
	// minLine is the length from which a line of a value of several lines is looked for on its own.
	minLine = 12
)

// pattern is a text that must not be shown, and what is shown instead.
type pattern struct{ text, mask string }

// patterns lists the forms in which a value turns up in texts: as it is, its lines, and as JSON, URLs and base64 have it.
func patterns(name, value string) []pattern {
	if len(value) < minMatch {
		return nil
	}
	mask := "[secret " + name + "]"
	forms := []string{value, strings.TrimSpace(value), url.QueryEscape(value), url.PathEscape(value)}
	if quoted, err := json.Marshal(value); err == nil { // strings always marshal
		forms = append(forms, string(quoted[1:len(quoted)-1]))
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		forms = append(forms, enc.EncodeToString([]byte(value)))
	}
	if lines := strings.Split(value, "\n"); len(lines) > 1 {
		for _, l := range lines {
			if l = strings.TrimSpace(l); len(l) >= minLine && !strings.HasPrefix(l, "-----") { // a PEM header is no secret
				forms = append(forms, l)
			}
		}
	}
	seen := map[string]bool{}
	var out []pattern
	for _, f := range forms {
		if len(f) >= minMatch && !seen[f] {
			seen[f] = true
			out = append(out, pattern{f, mask})
		}
	}
	return out
}

// Matcher finds known texts in other texts, all in one pass (Aho and Corasick, "Efficient string matching", 1975). It never
// changes and is safe for concurrent use. The nil Matcher finds nothing.
type Matcher struct {
	root  [256]int32 // successors of the start; 0 is the start itself
	nodes []node
	masks []string
}

// node is a state: a prefix of some pattern. Most have one successor, so that one is kept inside.
type node struct {
	fail  int32 // the longest proper suffix that is a state
	depth int32 // length of the prefix
	match int32 // length of the longest pattern that ends here, or 0
	mask  int32 // index of its mask
	next  int32 // successor by the byte b, or 0
	b     byte
	more  map[byte]int32
}

// newMatcher makes a Matcher, nil for no patterns.
func newMatcher(ps []pattern) *Matcher {
	if len(ps) == 0 {
		return nil
	}
	m := &Matcher{nodes: make([]node, 1)}
	for i, p := range ps {
		at := int32(0)
		for j := range len(p.text) {
			at = m.grow(at, p.text[j])
		}
		if n := &m.nodes[at]; n.match == 0 {
			n.match, n.mask = n.depth, int32(i)
		}
		m.masks = append(m.masks, p.mask)
	}
	m.link()
	return m
}

func (m *Matcher) child(at int32, b byte) int32 {
	if at == 0 {
		return m.root[b]
	}
	n := &m.nodes[at]
	if n.next != 0 && n.b == b {
		return n.next
	}
	return n.more[b]
}

func (m *Matcher) grow(at int32, b byte) int32 {
	if c := m.child(at, b); c != 0 {
		return c
	}
	c := int32(len(m.nodes))
	m.nodes = append(m.nodes, node{depth: m.nodes[at].depth + 1})
	switch n := &m.nodes[at]; {
	case at == 0:
		m.root[b] = c
	case n.next == 0:
		n.next, n.b = c, b
	default:
		if n.more == nil {
			n.more = map[byte]int32{}
		}
		n.more[b] = c
	}
	return c
}

// link sets the failure links, breadth first.
func (m *Matcher) link() {
	var queue []int32
	for _, c := range m.root {
		if c != 0 {
			queue = append(queue, c)
		}
	}
	visit := func(at int32, b byte, c int32) {
		f := int32(0)
		if at != 0 {
			f = m.step(m.nodes[at].fail, b)
		}
		n := &m.nodes[c]
		n.fail = f
		if n.match == 0 { // a shorter pattern may end here as a suffix
			n.match, n.mask = m.nodes[f].match, m.nodes[f].mask
		}
		queue = append(queue, c)
	}
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		n := m.nodes[at]
		if n.next != 0 {
			visit(at, n.b, n.next)
		}
		for b, c := range n.more {
			visit(at, b, c)
		}
	}
}

// step is the state after one more byte.
func (m *Matcher) step(at int32, b byte) int32 {
	for {
		if c := m.child(at, b); c != 0 {
			return c
		}
		if at == 0 {
			return 0
		}
		at = m.nodes[at].fail
	}
}

// span is a part of the text to be masked.
type span struct {
	from, to int
	mask     int32
	longest  int32 // of the patterns in it, whose mask is shown
}

// add makes a span that ends at to part of the spans, which are in order; overlapping ones become one.
func add(spans []span, to int, length, mask int32) []span {
	s := span{to - int(length), to, mask, length}
	for len(spans) > 0 && spans[len(spans)-1].to > s.from {
		last := spans[len(spans)-1]
		spans = spans[:len(spans)-1]
		s.from = min(s.from, last.from)
		if last.longest >= s.longest {
			s.mask, s.longest = last.mask, last.longest
		}
	}
	return append(spans, s)
}

// Mask replaces every known text. A text without any is answered as it is.
func (m *Matcher) Mask(text string) string {
	if m == nil {
		return text
	}
	var spans []span
	at := int32(0)
	for i := range len(text) {
		at = m.step(at, text[i])
		if n := &m.nodes[at]; n.match > 0 {
			spans = add(spans, i+1, n.match, n.mask)
		}
	}
	if spans == nil {
		return text
	}
	var b strings.Builder
	pos := 0
	for _, s := range spans {
		b.WriteString(text[pos:s.from])
		b.WriteString(m.masks[s.mask])
		pos = s.to
	}
	b.WriteString(text[pos:])
	return b.String()
}

// Writer masks what is written through it, also what comes in several pieces. It holds back no more than what may still
// become a known text. It is not safe for concurrent use.
type Writer struct {
	to    io.Writer
	m     *Matcher
	at    int32
	held  []byte // not written yet
	spans []span // within held
}

// NewWriter makes a Writer.
func NewWriter(to io.Writer, m *Matcher) *Writer { return &Writer{to: to, m: m} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	if w.m == nil {
		return w.to.Write(p)
	}
	for _, b := range p {
		w.held = append(w.held, b)
		w.at = w.m.step(w.at, b)
		if n := &w.m.nodes[w.at]; n.match > 0 {
			w.spans = add(w.spans, len(w.held), n.match, n.mask)
		}
	}
	// No match can begin before the text of the state.
	if err := w.release(len(w.held) - int(w.m.nodes[w.at].depth)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes what is held back. It does not close the writer below.
func (w *Writer) Close() error {
	w.at = 0
	return w.release(len(w.held))
}

// release writes what is before end. A span that reaches over end stays, because it may still grow.
func (w *Writer) release(end int) error {
	var out []byte
	pos := 0
	for len(w.spans) > 0 && w.spans[0].to <= end {
		s := w.spans[0]
		w.spans = w.spans[1:]
		out = append(append(out, w.held[pos:s.from]...), w.m.masks[s.mask]...)
		pos = s.to
	}
	if len(w.spans) > 0 {
		end = min(end, w.spans[0].from)
	}
	if end > pos {
		out = append(out, w.held[pos:end]...)
		pos = end
	}
	w.held = append(w.held[:0], w.held[pos:]...)
	for i := range w.spans {
		w.spans[i].from -= pos
		w.spans[i].to -= pos
	}
	if len(out) == 0 {
		return nil
	}
	_, err := w.to.Write(out)
	return err
}
