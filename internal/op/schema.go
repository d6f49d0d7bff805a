package op

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// Schema is the JSON Schema of an input or output, made from a Go struct and these tags:
//
//	json:"name,omitempty"   the name; without omitempty or omitzero the field is required in inputs
//	doc:"text"              the description, needed on every input field
//	enum:"a,b"              the allowed strings
//	min:"1" max:"500"       bounds of a number, or of the length of a list
//	minLen:"1" maxLen:"64"  bounds of a string, in characters
//	pattern:"^…$"           a regular expression that a string must match
//	ref:"instance"          the kind of resource that the string names (in "x-ref")
//	default:"5"             the value taken when the field is left out
//	oneOf:"string,array"    JSON types that an `any` or json.RawMessage field may have
//	secret:"true"           the value is a secret: it is masked wherever the input is shown or stored ("writeOnly")
//	in:"body"               REST carries the field as the raw body
type Schema = schema

type schema struct {
	jsonschema.Schema
	Properties map[string]*schema
	Order      []string // property names as declared
	Items      *schema
	Values     *schema // of a map
	Ref        string
	body       bool
	Nullable   bool
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		return f.Name
	}
	return name
}

func schemaOf(t reflect.Type) *schema { return schemaFor(t, map[reflect.Type]bool{}) }

func schemaFor(t reflect.Type, open map[reflect.Type]bool) *schema {
	s := &schema{}
	switch {
	case t == timeType:
		s.Type, s.Format = "string", "date-time"
		return s
	case t == textType:
		s.Type = "string"
		return s
	case t == rawType || t.Kind() == reflect.Interface:
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		s = schemaFor(t.Elem(), open)
		s.Nullable = true
	case reflect.String:
		s.Type = "string"
	case reflect.Bool:
		s.Type = "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s.Type = "integer"
	case reflect.Float32, reflect.Float64:
		s.Type = "number"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			s.Type, s.ContentEncoding = "string", "base64"
			break
		}
		s.Type, s.Items = "array", schemaFor(t.Elem(), open)
	case reflect.Map:
		s.Type, s.Values = "object", schemaFor(t.Elem(), open)
	case reflect.Struct:
		s.Type = "object"
		if open[t] { // a type that holds itself is described once
			return s
		}
		open[t] = true
		defer delete(open, t)
		s.Properties = map[string]*schema{}
		s.addFields(t, open)
	default:
		panic(fmt.Sprintf("op: no schema for %s", t))
	}
	return s
}

func (s *schema) addFields(t reflect.Type, open map[reflect.Type]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct {
			s.addFields(f.Type, open)
			continue
		}
		if !f.IsExported() || tag == "-" {
			continue
		}
		name := jsonName(f)
		p := schemaFor(f.Type, open)
		p.tags(f)
		s.Properties[name] = p
		s.Order = append(s.Order, name)
		if !strings.Contains(tag, ",omit") {
			s.Required = append(s.Required, name)
		}
	}
}

func (s *schema) tags(f reflect.StructField) {
	s.Description = f.Tag.Get("doc")
	s.Ref = f.Tag.Get("ref")
	s.body = f.Tag.Get("in") == "body"
	s.WriteOnly = f.Tag.Get("secret") == "true"
	if v := f.Tag.Get("oneOf"); v != "" {
		s.Types = strings.Split(v, ",")
		if slices.Contains(s.Types, "array") {
			s.Items = &schema{Schema: jsonschema.Schema{Type: "string"}}
		}
	}
	target := s
	if s.Items != nil && s.Types == nil { // rules for strings in a list are rules for its items
		target = s.Items
	}
	if v := f.Tag.Get("enum"); v != "" {
		for _, e := range strings.Split(v, ",") {
			target.Enum = append(target.Enum, e)
		}
	}
	if v := f.Tag.Get("pattern"); v != "" {
		target.Pattern = v
	}
	target.MinLength, target.MaxLength = intTag(f, "minLen"), intTag(f, "maxLen")
	if s.Type == "array" {
		s.MinItems, s.MaxItems = intTag(f, "min"), intTag(f, "max")
	} else if n := intTag(f, "min"); n != nil || f.Tag.Get("max") != "" {
		s.Minimum, s.Maximum = floatTag(f, "min"), floatTag(f, "max")
	}
	if v := f.Tag.Get("default"); v != "" {
		raw := json.RawMessage(v)
		if !json.Valid(raw) {
			raw, _ = json.Marshal(v)
		}
		s.Default = raw
	}
}

func intTag(f reflect.StructField, name string) *int {
	v := f.Tag.Get(name)
	if v == "" {
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		panic(fmt.Sprintf("op: field %s: tag %s: %v", f.Name, name, err))
	}
	return &n
}

func floatTag(f reflect.StructField, name string) *float64 {
	n := intTag(f, name)
	if n == nil {
		return nil
	}
	v := float64(*n)
	return &v
}

// MarshalJSON writes the schema as JSON Schema 2020-12, with "x-ref" where a string names a resource.
func (s *schema) MarshalJSON() ([]byte, error) { return json.Marshal(s.JSON()) }

// JSON answers the schema as a JSON value.
func (s *schema) JSON() map[string]any {
	m := map[string]any{}
	put := func(key string, v any, on bool) {
		if on {
			m[key] = v
		}
	}
	switch {
	case s.Types != nil:
		m["type"] = s.Types
	case s.Type != "" && s.Nullable:
		m["type"] = []string{s.Type, "null"}
	case s.Type != "":
		m["type"] = s.Type
	}
	put("description", s.Description, s.Description != "")
	put("format", s.Format, s.Format != "")
	put("contentEncoding", s.ContentEncoding, s.ContentEncoding != "")
	put("enum", s.Enum, s.Enum != nil)
	put("pattern", s.Pattern, s.Pattern != "")
	put("x-ref", s.Ref, s.Ref != "")
	put("writeOnly", true, s.WriteOnly)
	put("default", s.Default, s.Default != nil)
	for key, n := range map[string]*int{"minLength": s.MinLength, "maxLength": s.MaxLength, "minItems": s.MinItems, "maxItems": s.MaxItems} {
		put(key, n, n != nil)
	}
	put("minimum", s.Minimum, s.Minimum != nil)
	put("maximum", s.Maximum, s.Maximum != nil)
	if s.Items != nil {
		m["items"] = s.Items.JSON()
	}
	if s.Values != nil {
		m["additionalProperties"] = s.Values.JSON()
	}
	if s.Properties != nil {
		props := map[string]any{}
		for name, p := range s.Properties {
			props[name] = p.JSON()
		}
		m["properties"], m["additionalProperties"] = props, false
		put("required", s.Required, len(s.Required) > 0)
	}
	return m
}

// checkDocs finds input fields without a description.
func (s *schema) checkDocs(path string) error {
	for _, name := range s.Order {
		p := s.Properties[name]
		if p.Description == "" {
			return fmt.Errorf("the input field %s has no doc tag", path+name)
		}
		if err := p.checkDocs(path + name + "."); err != nil {
			return err
		}
	}
	return nil
}
