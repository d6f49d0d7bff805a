package planner

import "slices"

// inverse maps an action to the one that takes it back with the same arguments.
var inverse = map[string]string{
	"instances_start": "instances_stop", "instances_stop": "instances_start", "skills_install": "skills_uninstall", "skills_uninstall": "skills_install",
}

// undo takes acts back, newest first, where that is possible without a loss; what can't be taken back is said.
func (r *run) undo(acts []*step) {
	for i := len(acts) - 1; i >= 0; i-- {
		a := acts[i]
		if a.failed {
			continue
		}
		t := r.lx.tools[a.tool]
		switch {
		case inverse[a.tool] != "":
			r.undoWith(inverse[a.tool], a.in)
		case a.tool == "secrets_grant":
			for _, ref := range refsIn(a.in["instances"]) {
				r.undoWith("secrets_revoke", object{"id": a.in["id"], "instance": ref})
			}
		case a.tool == "secrets_revoke":
			r.undoWith("secrets_grant", object{"id": a.in["id"], "instances": []string{str(a.in, "instance")}})
		case a.tool == "experiments_promote":
			r.undoWith("experiments_rollback", object{"id": a.in["id"]})
		case t.action == "update" && r.restored(t, a):
		case t.action == "create" || t.action == "clone":
			r.unmake(t, a)
		default:
			r.out.fail("I can't take that back: %s", cantUndo(t))
		}
	}
}

func cantUndo(t *tool) string {
	if t.destroys() {
		return "what was deleted is gone."
	}
	return "there is no operation that undoes " + sprintf("“%s”", doing(t)) + "."
}

// undoWith makes the call that takes an act back, and says so.
func (r *run) undoWith(name string, in object) {
	t := r.lx.tools[name]
	if t == nil {
		r.out.fail("I can't take that back: this server has no operation for it.")
		return
	}
	res, ok := r.do(name, in)
	if !ok {
		return
	}
	main := r.movingSlot(t, nil)
	var es []*entity
	for _, ref := range refsOf(in[main.name]) {
		e := r.named(main.ref, ref)
		es = append(es, &e)
	}
	what := object{}
	for k, v := range in {
		if k != main.name {
			what[k] = v
		}
	}
	if res.failed {
		r.out.fail("Taking it back did not work: %s", why(res))
		return
	}
	r.about(main.ref, es...)
	switch name {
	case "secrets_revoke":
		sec := r.named("secret", str(in, "id"))
		r.about("secret", &sec)
		r.out.done("Taken back: %s may no longer use `%s`.", names(es), sec.Name)
	case "secrets_grant":
		r.out.done("Taken back: %s may use `%s` again.", names(es), r.named("secret", str(in, "id")).Name)
	case "skills_install", "skills_uninstall":
		sk := r.named("skill", str(in, "id"))
		r.out.done("Taken back: `%s` is %s %s again.", sk.Name, map[bool]string{true: "on", false: "off"}[name == "skills_install"], names(es))
	default:
		r.out.done("Taken back: %s %s again.", past[t.action], names(es))
	}
}

func refsOf(v any) []string {
	if l, ok := v.([]string); ok {
		return l
	}
	return refsIn(v)
}

// restored puts back the fields that an update changed, from the list that was read before it in the same turn.
func (r *run) restored(t *tool, a *step) bool {
	before := r.before(t, a)
	if before == nil || a.in["value"] != nil || a.in["regenerateToken"] != nil || a.in["files"] != nil {
		return false
	}
	in := object{"id": cmpOr(str(before, "id"), str(a.in, "id"))}
	for k := range a.in {
		switch k {
		case "id":
		case "labels":
			old := object{}
			for key := range mapOf(a.in["labels"]) {
				old[key] = get(before, "labels", key)
			}
			in["labels"] = old
		default:
			if _, has := before[k]; !has {
				return false
			}
			in[k] = before[k]
		}
	}
	res, ok := r.do(t.Name, in)
	if !ok {
		return true
	}
	e := r.named(t.kind, str(in, "id"))
	if res.failed {
		r.out.fail("Taking it back did not work: %s", why(res))
		return true
	}
	for _, raw := range made(res.out, t) {
		r.world.put(t.kind, raw)
	}
	r.about(t.kind, &e)
	r.out.done("Taken back: the %s `%s` is as it was before.", t.kind, cmpOr(str(before, "name"), e.Name))
	return true
}

func mapOf(v any) object {
	m, _ := v.(object)
	return m
}

// before finds a resource as it was listed earlier in the turn of a call.
func (r *run) before(t *tool, a *step) object {
	for _, x := range r.past {
		at := slices.Index(x.steps, a)
		if at < 0 {
			continue
		}
		for _, s := range x.steps[:at] {
			if s.tool != t.resource+"_list" || s.failed {
				continue
			}
			for _, v := range listItems(s.out, t.resource) {
				if o, ok := v.(object); ok && (str(o, "id") == str(a.in, "id") || str(o, "name") == str(a.in, "id")) {
					return o
				}
			}
		}
	}
	return nil
}

// unmake asks before it deletes what was created.
func (r *run) unmake(t *tool, a *step) {
	del := r.lx.tools[t.resource+"_delete"]
	if del == nil {
		r.out.fail("I can't take that back: there is no operation that deletes %s.", r.lx.plural[t.kind])
		return
	}
	if !r.lists(t.kind) {
		return
	}
	var es []*entity
	for _, o := range made(a.out, t) {
		for _, e := range r.world.all(t.kind) {
			if e.ID == str(o, "id") {
				es = append(es, e)
			}
		}
	}
	if len(es) == 0 {
		r.out.note("What that created is no longer there.")
		return
	}
	r.confirm(del, del.slot("id"), object{}, es)
}
