package planner

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// entity is a resource: an instance, a skill, a variant.
type entity struct {
	Kind string `json:"kind"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	// raw is the resource as the list showed it; absent for things only heard of.
	raw object
	// gone is set once this turn deleted it, fresh once this turn made it.
	gone, fresh bool
	// planned is set for what an earlier request of the same message is going to make.
	planned bool
}

// handle is what a call passes: the name when there is one, as people read the calls; else the id.
func (e *entity) handle() string {
	if e.Name == "" || e.raw["ambiguousName"] == true {
		return e.ID
	}
	return e.Name
}

func (e *entity) is(o *entity) bool {
	if e.Kind != o.Kind {
		return false
	}
	if e.ID != "" && o.ID != "" {
		return e.ID == o.ID
	}
	return e.Name == o.Name
}

// world is what the lists showed, with this turn's own changes on top.
type world struct {
	byKind map[string][]*entity
	index  *nameIndex
}

func (w *world) all(kind string) []*entity {
	var out []*entity
	for _, e := range w.byKind[kind] {
		if !e.gone && !e.planned {
			out = append(out, e)
		}
	}
	return out
}

// load takes in a list's items.
func (w *world) load(kind string, list []any) {
	w.index = nil
	names := map[string]*entity{}
	for _, v := range list {
		raw, ok := v.(object)
		if !ok {
			continue
		}
		e := &entity{Kind: kind, ID: str(raw, "id"), Name: str(raw, "name"), raw: raw}
		if e.Name == "" {
			e.Name = str(raw, "title")
		}
		if other := names[e.Name]; other != nil {
			other.raw["ambiguousName"], raw["ambiguousName"] = true, true
		}
		names[e.Name] = e
		w.byKind[kind] = append(w.byKind[kind], e)
	}
}

// put takes in a resource that a call answered with.
func (w *world) put(kind string, raw object) *entity {
	w.index = nil
	id, name := str(raw, "id"), str(raw, "name")
	for _, e := range w.byKind[kind] {
		if e.planned {
			continue
		}
		if id != "" && e.ID == id || id == "" && e.Name == name {
			if name != "" {
				e.Name = name
			}
			if e.raw == nil {
				e.raw = object{}
			}
			for k, v := range raw {
				e.raw[k] = v
			}
			return e
		}
	}
	e := &entity{Kind: kind, ID: id, Name: name, raw: raw, fresh: true}
	w.byKind[kind] = append(w.byKind[kind], e)
	return e
}

// drop takes a resource out.
func (w *world) drop(e *entity) {
	e.gone = true
	w.index = nil
}

// find answers the resource with a name or id, whatever the case of its letters.
func (w *world) find(kind, name string) *entity {
	var loose *entity
	for _, e := range w.all(kind) {
		if e.Name == name || e.ID == name {
			return e
		}
		if strings.EqualFold(e.Name, name) {
			loose = e
		}
	}
	return loose
}

// parts splits a name into its lower-case pieces: aqi-predictor_v2 → aqi predictor v2.
func parts(name string) []string {
	return strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' || r == ' ' })
}

// like answers the resources whose names share a piece with the word: "db" for db-east and db-west.
func (w *world) like(kind, word string) []*entity {
	var out []*entity
	want := parts(word)
	if len(want) == 0 {
		return nil
	}
	for _, e := range w.all(kind) {
		have, hit := parts(e.Name), true
		for _, p := range want {
			hit = hit && (slices.Contains(have, p) || strings.HasSuffix(p, "s") && slices.Contains(have, p[:len(p)-1]))
		}
		if hit {
			out = append(out, e)
		}
	}
	return out
}

// similar answers up to three names that were perhaps meant by a misspelt one.
func (w *world) similar(kind, word string) []string {
	type near struct {
		name string
		d    int
	}
	var found []near
	low := strings.ToLower(word)
	for _, e := range w.all(kind) {
		name := strings.ToLower(e.Name)
		d := distance(low, name)
		if d <= max(1, len(low)/3) || strings.Contains(name, low) || strings.Contains(low, name) && len(name) > 2 {
			found = append(found, near{e.Name, d})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return cmp.Or(a.d-b.d, strings.Compare(a.name, b.name)) })
	var out []string
	for _, f := range found[:min(3, len(found))] {
		out = append(out, f.name)
	}
	return out
}

func when(e *entity, key string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, str(e.raw, key))
	return t
}

// labels answers an instance's labels.
func (e *entity) labels() map[string]string {
	out := map[string]string{}
	if m, ok := get(e.raw, "labels").(object); ok {
		for k, v := range m {
			if s, ok := v.(string); ok {
				out[k] = s
			}
		}
	}
	return out
}

// skills answers the names of the skills on an instance.
func (e *entity) skills() []string {
	var out []string
	for _, s := range items(e.raw, "skills") {
		switch v := s.(type) {
		case string:
			out = append(out, v)
		case object:
			out = append(out, cmp.Or(str(v, "name"), str(v, "skill"), str(v, "skillName")))
		}
	}
	return out
}

// grants answers the names of the instances that may use a secret.
func (e *entity) grants() []string {
	var out []string
	for _, g := range items(e.raw, "grants") {
		switch v := g.(type) {
		case string:
			out = append(out, v)
		case object:
			out = append(out, cmp.Or(str(v, "instanceName"), str(v, "name"), str(v, "instanceId"), str(v, "instance")))
		}
	}
	return out
}

// holds tells whether a list of names or ids has the entity.
func holds(names []string, e *entity) bool {
	return slices.Contains(names, e.Name) || e.ID != "" && slices.Contains(names, e.ID)
}
