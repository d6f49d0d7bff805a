// Package op declares operations: the things the platform can do.
//
// An operation is declared once, as an Op and one typed method, and from that declaration come its REST endpoint, the
// Operator's tool, the CLI command and the OpenAPI entry. All surfaces call it through Registry.Do, so that the same
// checks stand in front of it: input, scope, and whatever middleware the program adds (idempotency, audit).
package op

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
)

// Effect says what an operation does to the world.
type Effect string

// The effects.
const (
	Read    Effect = "read"    // changes nothing
	Write   Effect = "write"   // changes something in a way that can be taken back
	Destroy Effect = "destroy" // loses something for good
)

// Op is the declaration of an operation, apart from its method.
type Op struct {
	// Name is "resource.verb". With _ for . it is the tool's name, with a space the CLI command.
	Name string
	// Route is "METHOD /path/{wildcard}". Each wildcard is an input field.
	Route string
	// Doc is one or two sentences for a person or model who decides whether this is what they need.
	Doc string
	// Scope is the right that a key needs, such as "instances:write".
	Scope  string
	Effect Effect
	// Status is the HTTP status of success; 0 means 200.
	Status int
	// Sensitive says that the input or the output holds a secret: neither is stored or shown beyond the answer itself.
	Sensitive bool
	// Resource is the plural noun of what it works on; "" takes the part of Name before the dot.
	Resource string
	// Verbs and Nouns are the words people use for it, Examples are requests that mean it. They feed the planner's lexicon,
	// the CLI's help and the docs.
	Verbs    []string
	Nouns    []string
	Examples []string
	// Example is an input that a test can send: every path wildcard and required field set.
	Example map[string]any
}

// Operation is a declared operation with its method.
type Operation struct {
	Op
	Method   string // of the Route
	Path     string // of the Route
	In       *Schema
	Out      *Schema
	RawIn    string // the input field that is the raw request body on REST, or ""
	RawOut   bool   // the output is sent raw on REST
	inType   reflect.Type
	rawField int
	call     func(ctx context.Context, in any) (any, error)
	wildcard []string
}

// Raw is an output that REST sends as it is.
type Raw interface {
	RawBody() (contentType string, body []byte)
}

// New makes an operation of a declaration and a method. In and Out are structs with json tags; package documentation of
// Schema lists the other tags. Declarations are checked by Registry.Add.
func New[In, Out any](o Op, method func(ctx context.Context, in In) (Out, error)) *Operation {
	p := &Operation{Op: o, inType: reflect.TypeFor[In]()}
	p.Method, p.Path, _ = strings.Cut(o.Route, " ")
	p.In, p.Out = schemaOf(reflect.TypeFor[In]()), schemaOf(reflect.TypeFor[Out]())
	p.RawOut = reflect.TypeFor[Out]().Implements(reflect.TypeFor[Raw]())
	for i := range p.inType.NumField() {
		if f := p.inType.Field(i); f.Tag.Get("in") == "body" {
			if f.Type != textType {
				panic(fmt.Sprintf("op: %s: the raw body field must be of type op.Text", o.Name))
			}
			p.RawIn, p.rawField = jsonName(f), i
		}
	}
	for _, m := range wildcards.FindAllStringSubmatch(p.Path, -1) {
		p.wildcard = append(p.wildcard, m[1])
	}
	if p.Resource == "" {
		p.Resource, _, _ = strings.Cut(o.Name, ".")
	}
	if p.Status == 0 {
		p.Status = http.StatusOK
	}
	p.call = func(ctx context.Context, in any) (any, error) {
		out, err := method(ctx, *in.(*In))
		if err != nil {
			return nil, err
		}
		return out, nil
	}
	return p
}

var (
	wildcards = regexp.MustCompile(`\{(\w+)\}`)
	opName    = regexp.MustCompile(`^[a-z]+(\.[a-z]+)+$`)
	opScope   = regexp.MustCompile(`^[a-z]+:(read|write)$`)
)

// Tool is the operation's name as a model sees it.
func (p *Operation) Tool() string { return strings.ReplaceAll(p.Name, ".", "_") }

// Wildcards lists the input fields that are part of the path.
func (p *Operation) Wildcards() []string { return p.wildcard }

// Body tells whether fields that are not in the path travel in a JSON body, and not in the query.
func (p *Operation) Body() bool {
	return p.RawIn == "" && p.Method != http.MethodGet && p.Method != http.MethodDelete
}

// check finds mistakes in the declaration.
func (p *Operation) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("operation %s: %s", p.Name, fmt.Sprintf(format, args...))
	}
	if !opName.MatchString(p.Name) || len(p.Name) > 64 {
		return bad("the name must be like resource.verb")
	}
	if p.Doc == "" || len(p.Doc) > 1024 {
		return bad("it needs a doc of at most 1,024 characters")
	}
	if !opScope.MatchString(p.Scope) {
		return bad("the scope %q must be like instances:read", p.Scope)
	}
	if (p.Effect == Read) != strings.HasSuffix(p.Scope, ":read") {
		return bad("effect %s does not fit the scope %s", p.Effect, p.Scope)
	}
	switch p.Effect {
	case Read, Write, Destroy:
	default:
		return bad("the effect %q is none", p.Effect)
	}
	switch p.Method {
	case http.MethodGet:
		if p.Effect != Read {
			return bad("GET must only read")
		}
	case http.MethodDelete:
		if p.Effect == Read {
			return bad("DELETE can't only read")
		}
	case http.MethodPost, http.MethodPut:
	default:
		return bad("the method %q is none of GET, POST, PUT, DELETE", p.Method)
	}
	if !strings.HasPrefix(p.Path, "/api/") {
		return bad("the path must begin with /api/")
	}
	for _, w := range p.wildcard {
		if p.In.Properties[w] == nil {
			return bad("the path names {%s}, which is no input field", w)
		}
	}
	if err := p.In.checkDocs(""); err != nil {
		return bad("%v", err)
	}
	if p.Example != nil {
		raw, err := json.Marshal(p.Example)
		if err != nil {
			return bad("example: %v", err)
		}
		if _, err := p.decode(context.Background(), raw); err != nil {
			return bad("example: %v", err)
		}
	}
	return nil
}

// decode checks raw against the input's schema and reads it. A body given with WithBody stands for the raw field.
func (p *Operation) decode(ctx context.Context, raw json.RawMessage) (any, error) {
	body, hasBody := Body(ctx)
	hasBody = hasBody && p.RawIn != ""
	given := ""
	if hasBody {
		given = p.RawIn
	}
	if err := p.In.check(raw, given); err != nil {
		return nil, err
	}
	in := reflect.New(p.inType)
	if err := json.Unmarshal(raw, in.Interface()); err != nil {
		return nil, decodeError(err)
	}
	if hasBody {
		in.Elem().Field(p.rawField).Set(reflect.ValueOf(Text(body)))
	}
	return in.Interface(), nil
}
