package server

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// hoist moves object schemas that occur more than once into the shared schemas and leaves references to them, so that a
// client generator makes one type of each resource. A schema takes its name from the property that holds it: instance and
// instances both hold an Instance.
func hoist(paths, schemas dict) {
	h := hoister{schemas: schemas, seen: map[string]*shared{}}
	h.count(paths, "")
	h.count(schemas, "")
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
	holders []string // the names of the properties that hold it
	as      string   // its name among the shared schemas, or ""
	value   dict
}

type hoister struct {
	schemas dict
	seen    map[string]*shared
	order   []string
}

// count finds the object schemas under v, in an order that does not depend on chance.
func (h *hoister) count(v any, holder string) {
	switch v := v.(type) {
	case dict:
		if key := identity(v); key != "" {
			s := h.seen[key]
			if s == nil {
				s = &shared{value: v}
				h.seen[key] = s
				h.order = append(h.order, key)
			}
			s.holders = append(s.holders, holder)
		}
		for _, key := range sortedKeys(v) {
			switch key {
			case "items", "schema", "additionalProperties", "properties":
				h.count(v[key], holder)
			default:
				h.count(v[key], key)
			}
		}
	case []any:
		for _, item := range v {
			h.count(item, holder)
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
	for _, key := range h.order {
		s := h.seen[key]
		names := slices.DeleteFunc(slices.Clone(s.holders), func(n string) bool { return n == "" || strings.Contains(n, "/") })
		if len(names) < 2 {
			continue
		}
		free := slices.IndexFunc(names, func(n string) bool { return h.schemas[typeName(n)] == nil })
		if free >= 0 {
			s.as = typeName(names[free])
		} else {
			n := 2
			for h.schemas[typeName(names[0])+strconv.Itoa(n)] != nil {
				n++
			}
			s.as = typeName(names[0]) + strconv.Itoa(n)
		}
		h.schemas[s.as] = undescribed(s.value)
	}
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

// typeName makes the name of a type of that of a property: instances becomes Instance.
func typeName(property string) string {
	switch {
	case strings.HasSuffix(property, "ies"):
		property = strings.TrimSuffix(property, "ies") + "y"
	case strings.HasSuffix(property, "s") && !strings.HasSuffix(property, "ss") && !strings.HasSuffix(property, "us"):
		property = strings.TrimSuffix(property, "s")
	}
	return strings.ToUpper(property[:1]) + property[1:]
}

func sortedKeys(m dict) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
