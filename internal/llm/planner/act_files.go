package planner

import (
	"path"
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// paths answers the files and folders that a clause names; those that are to be kept are left out.
func (u *unit) paths() []string {
	var out []string
	c := u.c
	for _, m := range c.mens {
		switch m.kind {
		case mPath:
			out = append(out, m.text)
		case mText:
			if m.key == "" && (strings.Contains(m.text, ".") || strings.Contains(m.text, "/")) && !strings.ContainsAny(m.text, "\n") && len(m.text) < 200 {
				out = append(out, m.text)
			}
		case mCode:
			if !strings.ContainsAny(m.text, " \n") {
				out = append(out, m.text)
			}
		}
	}
	for i, t := range c.toks { // "the reports folder", "the folder reports", "the file Makefile"
		if !t.Is("folder", "folders", "file") {
			continue
		}
		if i > 0 && len(out) == 0 && (c.toks[i-1].Kind == lang.Word || c.toks[i-1].Kind == lang.Ident) && !lang.Filler(c.low(i-1)) && !slices.Contains([]string{"write", "create", "make", "delete", "remove", "new", "read", "skill", "text", "log", "whole", "home", "root", "list", "show", "config"}, c.low(i-1)) && t.Is("folder", "folders") {
			out = append(out, c.toks[i-1].Text)
		} else if i+1 < len(c.toks) && len(out) == 0 && (c.toks[i+1].Kind == lang.Word || c.toks[i+1].Kind == lang.Ident) && !lang.Filler(c.low(i+1)) && !slices.Contains(prepositions, c.low(i+1)) && !c.toks[i+1].Is("called", "named", "with") {
			out = append(out, c.toks[i+1].Text)
		}
	}
	for _, m := range c.of(mNew) {
		if len(out) == 0 && m.key == "" {
			out = append(out, m.names...)
		}
	}
	return out
}

// place answers the instances that a request about files, logs or commands is for.
func (r *run) place(u *unit, t *tool, args object) ([]*entity, bool) {
	f, ok := r.targets(u, "instance", &open{Tool: t.Name, Args: args, Missing: "id", Verb: t.action, Many: true})
	if !ok {
		return nil, false
	}
	es := r.whenMet(u, f.es)
	return es, len(es) > 0
}

// gather makes the same call on several instances; ok is false while results are missing.
func (r *run) gather(tool string, args object, es []*entity) ([]outcome, bool) {
	ok := true
	var outs []outcome
	for _, e := range es {
		res, got := r.do(tool, with(args, "id", e.handle()))
		ok = ok && got
		outs = append(outs, outcome{e, res})
	}
	if ok {
		r.about("instance", es...)
	}
	return outs, ok
}

// listFiles shows a folder, or says whether a file is there.
func (r *run) listFiles(u *unit) {
	args, wanted := object{}, ""
	if ps := u.paths(); len(ps) > 0 {
		p := ps[0]
		if isFileName(path.Base(p)) || u.c.question() && u.c.has("there", "exist", "exists") && !u.c.has("folder") {
			wanted = p
			if dir := path.Dir(p); dir != "." {
				args["path"] = dir
			}
		} else {
			args["path"] = strings.TrimSuffix(p, "/")
		}
	}
	es, ok := r.place(u, u.rd.t, args)
	if !ok {
		return
	}
	outs, ok := r.gather("files_list", args, es)
	if !ok {
		return
	}
	for _, o := range outs {
		if wanted != "" {
			r.tellPresence(o, wanted)
			continue
		}
		where := ""
		if p, ok := args["path"].(string); ok {
			where = " in `" + p + "`"
		}
		if o.res.failed {
			r.out.fail("Couldn't list the files%s on `%s`: %s", where, o.e.Name, why(o.res))
			continue
		}
		entries := items(o.res.out, "entries")
		if len(entries) == 0 {
			r.out.show("There are no files%s on `%s`.", where, o.e.Name)
			continue
		}
		var rows [][]string
		for _, v := range entries[:min(len(entries), 300)] {
			size := ""
			if str(v, "type") != "dir" && str(v, "type") != "directory" {
				size = cell(get(v, "size"))
			}
			rows = append(rows, []string{"`" + strings.ReplaceAll(str(v, "name"), "`", "'") + "`", str(v, "type"), size})
		}
		r.out.show("Files%s on `%s`:\n\n%s", where, o.e.Name, table([]string{"Name", "Type", "Bytes"}, rows))
	}
}

// tellPresence says whether a file is among a folder's entries.
func (r *run) tellPresence(o outcome, wanted string) {
	base := path.Base(wanted)
	if o.res.failed && o.res.code != "not_found" {
		r.out.fail("Couldn't look on `%s`: %s", o.e.Name, why(o.res))
		return
	}
	for _, v := range items(o.res.out, "entries") {
		if str(v, "name") == base {
			r.out.show("Yes, there is `%s` on `%s` (%s bytes).", wanted, o.e.Name, cell(get(v, "size")))
			return
		}
	}
	r.out.show("No, there is no `%s` on `%s`.", wanted, o.e.Name)
}

// readFile shows a file, or its first or last lines.
func (r *run) readFile(u *unit) {
	ps := u.paths()
	if len(ps) == 0 {
		r.apply1(u, u.rd.t, "path", "Which file should I read?")
		return
	}
	head, tail := lineWindow(u.c)
	for _, p := range ps {
		args := object{"path": p}
		es, ok := r.place(u, u.rd.t, args)
		if !ok {
			return
		}
		outs, ok := r.gather("files_read", args, es)
		if !ok {
			continue
		}
		for _, o := range outs {
			if o.res.failed {
				r.out.fail("Couldn't read `%s` on `%s`: %s", p, o.e.Name, why(o.res))
				continue
			}
			text := str(o.res.out, "text")
			if text == "" {
				text = str(o.res.out, "content")
			}
			if strings.TrimSpace(text) == "" {
				r.out.show("`%s` on `%s` is empty.", p, o.e.Name)
				continue
			}
			shown, part := window(text, head, tail)
			note := ""
			if flag(o.res.out, "truncated") && tail == 0 {
				note = "\n\nThe file is longer; this is its beginning."
			}
			r.out.show("%s`%s` on `%s`:\n\n%s%s", part, p, o.e.Name, fenced(shown), note)
		}
	}
}

// lineWindow reads "last 2 lines", "first ten lines".
func lineWindow(c *clause) (head, tail int) {
	n := 0
	for _, m := range c.mens {
		if m.kind == mInt && (m.text == "line" || m.text == "log") {
			n = m.n
		}
	}
	last := c.has("last", "final", "tail", "end", "bottom", "latest", "recent")
	first := c.has("first", "head", "top", "beginning", "start")
	if c.hasSeq("last", "line") || c.hasSeq("final", "line") || c.hasSeq("first", "line") {
		n = max(n, 1)
	}
	switch {
	case last && n > 0:
		return 0, n
	case last && c.has("tail", "few", "some"):
		return 0, 10
	case first && n > 0:
		return n, 0
	}
	return 0, 0
}

func window(text string, head, tail int) (shown, part string) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	switch {
	case tail > 0 && tail < len(lines):
		return strings.Join(lines[len(lines)-tail:], "\n"), sprintf("The last %d of %d lines of ", tail, len(lines))
	case head > 0 && head < len(lines):
		return strings.Join(lines[:head], "\n"), sprintf("The first %d of %d lines of ", head, len(lines))
	}
	return text, ""
}

// writeFile stores text in a file, or copies a file from one instance to others.
func (r *run) writeFile(u *unit) {
	c, t := u.c, u.rd.t
	ps := u.paths()
	content, ok := c.literal("content")
	if !ok {
		for _, m := range c.of(mText) {
			if m.key == "" && !slices.Contains(ps, m.text) || m.key == "" && len(ps) > 1 && ps[0] == m.text {
				content, ok = m.text, true
				ps = slices.DeleteFunc(ps, func(p string) bool { return p == m.text })
			}
		}
		for _, m := range c.of(mCode) {
			if !ok && len(ps) > 0 && ps[0] != m.text {
				content, ok = m.text, true
			}
		}
	}
	if len(ps) == 0 {
		r.apply1(u, t, "path", "Into which file should it go?")
		return
	}
	if !ok && u.rd.verb != nil && slices.Contains([]string{"copy", "move", "transfer", "send", "upload", "put", "place"}, u.rd.verb.v.words[0]) {
		r.copyFile(u, ps)
		return
	}
	if !ok && u.rd.verb != nil && slices.Contains([]string{"write", "put", "save", "store", "append", "add", "leave"}, u.rd.verb.v.words[0]) { // "write hello to x.txt"
		for _, m := range c.of(mPath) {
			k := m.i - 1
			for k > u.rd.verb.j && !c.toks[k].Is("to", "into", "in") {
				k--
			}
			if k > u.rd.verb.j && c.toks[k-1].Wordy() && !c.toks[k-1].Is("file") && c.toks[u.rd.verb.j].Start < c.toks[k-1].End && !c.toks[u.rd.verb.j].Is("a", "the", "to") {
				content, ok = u.src[c.toks[u.rd.verb.j].Start:c.toks[k-1].End], true
			}
		}
	}
	if !ok {
		if c.has("empty") {
			content = ""
		} else {
			r.apply1w(u, t, object{"path": ps[0]}, "content", sprintf("What should be in `%s`?", ps[0]))
			return
		}
	}
	if !strings.HasSuffix(content, "\n") && content != "" && !strings.Contains(strings.ToLower(u.src), "exactly") {
		content += "\n"
	}
	args := object{"path": ps[0], "content": content}
	es, ok := r.place(u, t, args)
	if !ok {
		return
	}
	outs, ok := r.gather(t.Name, args, es)
	if ok {
		r.tellFiles("Wrote", "write", ps[0], outs)
	}
}

// apply1w asks for a missing argument of a request that has further arguments.
func (r *run) apply1w(u *unit, t *tool, args object, missing, question string) {
	f, ok := r.targets(u, "instance", &open{})
	if !ok {
		return
	}
	r.question(&open{Tool: t.Name, Args: with(args, "id", f.es[0].handle()), Missing: missing, Verb: t.action}, "%s", question)
}

func (r *run) tellFiles(did, act, p string, outs []outcome) {
	var good []*entity
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("Couldn't %s `%s` on `%s`: %s", act, p, o.e.Name, why(o.res))
			continue
		}
		good = append(good, o.e)
	}
	if len(good) > 0 {
		r.out.done("%s `%s` on %s.", did, p, names(good))
	}
}

// copyFile reads a file on one instance and writes it on others.
func (r *run) copyFile(u *unit, ps []string) {
	c := u.c
	var from, to []*entity
	for _, m := range c.mens {
		if m.kind != mRef {
			continue
		}
		got := r.resolve(m.ref, "instance")
		if got, ok := r.settle(u, got, "instance", &open{}); ok {
			if m.prep == "from" || m.prep == "of" || m.prep == "on" && from == nil && to == nil || m.ref.poss {
				from = append(from, got.es...)
			} else {
				to = append(to, got.es...)
			}
		} else if r.out.ask != "" || len(got.unknown) > 0 {
			return
		}
	}
	if len(from) == 1 && len(to) == 0 && len(ps) == 2 { // a copy within one instance
		to = from
	}
	if len(from) != 1 || len(to) == 0 {
		r.question(&open{}, "From which instance to which one should I copy `%s`? For example: copy %s from web-1 to web-2.", ps[0], ps[0])
		return
	}
	target := ps[len(ps)-1]
	res, ok := r.do("files_read", object{"id": from[0].handle(), "path": ps[0]})
	if !ok {
		return
	}
	if res.failed {
		r.out.fail("Couldn't read `%s` on `%s`: %s", ps[0], from[0].Name, why(res))
		return
	}
	if flag(res.out, "truncated") {
		r.out.fail("`%s` is too large to copy this way; nothing was written.", ps[0])
		return
	}
	outs, ok := r.gather("files_write", object{"path": target, "content": str(res.out, "text")}, to)
	if !ok {
		return
	}
	r.tellFiles("Copied from `"+from[0].Name+"`:", "write", target, outs)
	if u.rd.verb != nil && u.rd.verb.v.words[0] == "move" {
		outs, ok := r.gather("files_delete", object{"path": ps[0]}, from)
		if ok {
			r.tellFiles("Deleted", "delete", ps[0], outs)
		}
	}
}

// deleteFile removes files. The file itself must be named; several instances are asked about.
func (r *run) deleteFile(u *unit) {
	ps := u.paths()
	if len(ps) == 0 {
		r.apply1(u, u.rd.t, "path", "Which file should I delete?")
		return
	}
	if slices.ContainsFunc(ps, func(p string) bool { return strings.ContainsAny(p, "*?") }) || u.c.has("all", "every", "everything") {
		r.out.fail("I delete files only by their names, one by one, so nothing was deleted. Tell me which files.")
		return
	}
	f, ok := r.targets(u, "instance", &open{Tool: u.rd.t.Name, Args: object{"path": ps[0]}, Missing: "id", Verb: "delete"})
	if !ok {
		return
	}
	for _, p := range ps {
		if !f.named && len(f.es) > 1 {
			r.confirm(u.rd.t, u.rd.t.slot("id"), object{"path": p}, f.es)
			continue
		}
		outs, ok := r.gather("files_delete", object{"path": p}, f.es)
		if ok {
			r.tellFiles("Deleted", "delete", p, outs)
		}
	}
}

// exec runs a command on instances and shows what each one answered.
func (r *run) exec(u *unit) {
	c, t := u.c, u.rd.t
	command := ""
	for _, m := range c.mens {
		if m.kind == mCode || m.kind == mText && m.key == "" && command == "" {
			command = m.text
			if m.kind == mCode {
				break
			}
		}
	}
	if command == "" {
		command = plainCommand(u)
	}
	if command == "" {
		r.apply1(u, t, "command", "Which command should I run? Put it into backticks, for example `uptime`.")
		return
	}
	args := object{"command": command}
	if n, ok := c.firstInt("second"); ok && (c.has("timeout") || c.has("within")) {
		args["timeoutSeconds"] = n
	}
	es, ok := r.place(u, t, args)
	if !ok {
		return
	}
	outs, ok := r.gather(t.Name, args, es)
	if !ok {
		return
	}
	var failed, good []string
	for _, o := range outs {
		code, _ := num(o.res.out, "exitCode")
		switch {
		case o.res.failed:
			r.out.fail("`%s` did not run it: %s", o.e.Name, why(o.res))
			failed = append(failed, o.e.Name)
			continue
		case code != 0:
			failed = append(failed, o.e.Name)
		default:
			good = append(good, o.e.Name)
		}
		r.tellOutput(o, int(code))
	}
	if len(outs) > 1 {
		r.out.note("%d of %d succeeded%s.", len(good), len(outs), orWords(strings.Join(failed, ""), "; failed: "+ticked(failed), ""))
	}
}

func (r *run) tellOutput(o outcome, code int) {
	text := strings.TrimRight(str(o.res.out, "stdout"), "\n")
	if e := strings.TrimRight(str(o.res.out, "stderr"), "\n"); e != "" {
		text = strings.TrimLeft(text+"\n"+e, "\n")
	}
	head := sprintf("`%s`", o.e.Name)
	if code != 0 {
		head += sprintf(" failed with exit code %d", code)
	}
	if text == "" {
		r.out.show("%s: no output.\n", head)
		return
	}
	cut := ""
	if len(text) > 4000 {
		text, cut = text[:4000], "\n\nThe output is longer; this is its beginning."
	} else if flag(o.res.out, "truncated") {
		cut = "\n\nThe output was cut."
	}
	r.out.show("%s:\n\n%s%s", head, fenced(strings.ToValidUTF8(text, "")), cut)
}

// plainCommand reads a command without quotes: "run uptime on web-1". Only what stands between the verb and the place.
func plainCommand(u *unit) string {
	c := u.c
	if u.rd.verb == nil {
		return ""
	}
	from := u.rd.verb.j
	for from < len(c.toks) && (c.toks[from].Is("the", "command", "a", "shell", "script", ":") || lang.Filler(c.low(from)) && c.toks[from].Is("following")) {
		from++
	}
	to := from
	for to < len(c.toks) && !c.toks[to].Is("on", "in", "everywhere", "inside", "at", ",") {
		if c.used[to] && c.toks[to].Kind != lang.Path && c.toks[to].Kind != lang.Ident && c.toks[to].Kind != lang.Word {
			break
		}
		to++
	}
	if from >= to || to-from > 12 {
		return ""
	}
	for _, f := range c.refs("") {
		if f.i < to && f.j > from && f.pron != "" {
			return ""
		}
	}
	var out []string
	for _, t := range c.toks[from:to] {
		out = append(out, t.Text)
	}
	return strings.Join(out, " ")
}

// logs shows the last log lines of instances.
func (r *run) logs(u *unit) {
	_, tail := lineWindow(u.c)
	if n, ok := u.c.firstInt("line", "log"); ok && tail == 0 {
		tail = n
	}
	if tail <= 0 {
		tail = 20
	}
	args := object{"tail": min(tail, 1000)}
	es, ok := r.place(u, u.rd.t, args)
	if !ok {
		return
	}
	outs, ok := r.gather("instances_logs", args, es)
	if !ok {
		return
	}
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("Couldn't read the logs of `%s`: %s", o.e.Name, why(o.res))
			continue
		}
		var lines []string
		for _, v := range items(o.res.out, "lines") {
			stamp := ""
			if t := str(v, "time"); len(t) >= 19 {
				stamp = t[11:19] + " "
			}
			lines = append(lines, stamp+str(v, "text"))
		}
		if len(lines) == 0 {
			r.out.show("There is nothing in the logs of `%s` yet.", o.e.Name)
			continue
		}
		r.out.show("The last %d log lines of `%s`:\n\n%s", len(lines), o.e.Name, fenced(strings.Join(lines, "\n")))
	}
}
