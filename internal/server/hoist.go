package server

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// hoist moves object schemas that occur more than once into the shared schemas and leaves references to them, so that a
// client generator makes one type of each resource. A schema takes its name from the property that holds it: instance and
// instances both hold an Instance. Where two want a name, one with an id gets it, and the other is named after what it is
// part of as well: InstanceSkill.
func hoist(paths, schemas dict) {
	h := hoister{schemas: schemas, seen: map[string]*shared{}}
	h.count(paths, holder{})
	h.count(schemas, holder{})
	h.name()
	h.replace(paths)
	for _, name := range sortedKeys(schemas) {
		for _, v := range schemas[name].(dict) { // the schema itself stays
			h.replace(v)
		}
	}
}

// shared is an object schema with the places where it occurs.
type shared struct {
	holders []holder
	as      string // its name among the shared schemas, or ""
	value   dict
}

// holder is a property that holds a schema.
type holder struct {
	name  string
	outer string // the type name of what the property belongs to
	many  bool   // it holds a list or map of them
}

// typeName makes the name of a type of that of the property: the one of instances is Instance.
func (h holder) typeName() string {
	name := h.name
	switch {
	case !h.many || name == "":
	case strings.HasSuffix(name, "ies"):
		name = strings.TrimSuffix(name, "ies") + "y"
	case strings.HasSuffix(name, "s"):
		name = strings.TrimSuffix(name, "s")
	}
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

type hoister struct {
	schemas dict
	seen    map[string]*shared
	order   []string
}

// count finds the object schemas under v, in an order that does not depend on chance.
func (h *hoister) count(v any, at holder) {
	switch v := v.(type) {
	case dict:
		inner := at.outer
		if key := identity(v); key != "" {
			s := h.seen[key]
			if s == nil {
				s = &shared{value: v}
				h.seen[key] = s
				h.order = append(h.order, key)
			}
			s.holders = append(s.holders, at)
		}
		if _, ok := v["properties"]; ok {
			inner = at.typeName()
		}
		for _, key := range sortedKeys(v) {
			switch key {
			case "items", "additionalProperties":
				h.count(v[key], holder{at.name, at.outer, true})
			case "schema", "properties":
				h.count(v[key], holder{at.name, inner, at.many})
			default:
				h.count(v[key], holder{key, inner, false})
			}
		}
	case []any:
		for _, item := range v {
			h.count(item, at)
		}
	}
}

// identity is what makes two object schemas the same: all but the description, which tells of their place. It is "" for
// what is no object schema.
func identity(v dict) string {
	if props, ok := v["properties"].(dict); !ok || len(props) < 2 || v["type"] != "object" {
		return ""
	}
	raw, err := json.Marshal(undescribed(v))
	if err != nil {
		panic(err) // made of plain values
	}
	return string(raw)
}

func undescribed(v dict) dict {
	out := dict{}
	for key, value := range v {
		if key != "description" {
			out[key] = value
		}
	}
	return out
}

// name moves the schemas that occur more than once. Whole answers, which no property holds, stay where they are.
func (h *hoister) name() {
	slices.SortStableFunc(h.order, func(a, b string) int { return rank(h.seen[a]) - rank(h.seen[b]) })
	for _, key := range h.order {
		s := h.seen[key]
		holders := slices.DeleteFunc(slices.Clone(s.holders), func(at holder) bool { return at.name == "" || strings.Contains(at.name, "/") })
		if len(holders) < 2 {
			continue
		}
		for _, at := range holders {
			if s.as == "" && h.schemas[at.typeName()] == nil {
				s.as = at.typeName()
			}
		}
		base := holders[0].typeName()
		if outer := holders[0].outer; !strings.Contains(outer, "/") {
			base = outer + base
		}
		for n := 1; s.as == ""; n++ {
			as := base
			if n > 1 {
				as += strconv.Itoa(n)
			}
			if h.schemas[as] == nil {
				s.as = as
			}
		}
		h.schemas[s.as] = undescribed(s.value)
	}
}

// rank puts what has an id, and so is a thing of its own, first, and a whole thing before an extract of it.
func rank(s *shared) int {
	props, _ := s.value["properties"].(dict)
	if props["id"] != nil {
		return -len(props)
	}
	return 1
}

// replace puts references in the place of moved schemas under v, v itself excepted.
func (h *hoister) replace(v any) {
	switch v := v.(type) {
	case dict:
		for key := range v {
			v[key] = h.reference(v[key])
		}
	case []any:
		for i := range v {
			v[i] = h.reference(v[i])
		}
	}
}

func (h *hoister) reference(v any) any {
	schema, ok := v.(dict)
	if ok {
		if s := h.seen[identity(schema)]; s != nil && s.as != "" {
			ref := refTo(s.as)
			if d, ok := schema["description"]; ok {
				ref["description"] = d
			}
			return ref
		}
	}
	h.replace(v)
	return v
}

func sortedKeys(m dict) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
