package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

// operationCommands makes "yardmaster RESOURCE VERB" of every operation.
func (m *program) operationCommands(ops []*op.Operation) []*cobra.Command {
	groups := map[string]*cobra.Command{}
	var out []*cobra.Command
	for _, p := range ops {
		resource, verb, _ := strings.Cut(p.Name, ".")
		g, ok := groups[resource]
		if !ok {
			g = &cobra.Command{Use: resource, Short: "Work with " + resource, GroupID: "platform", Args: cobra.NoArgs, RunE: help}
			groups[resource] = g
			out = append(out, g)
		}
		g.AddCommand(m.operationCommand(p, strings.ReplaceAll(verb, ".", "-")))
	}
	return out
}

func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func (m *program) operationCommand(p *op.Operation, verb string) *cobra.Command {
	use := verb
	for _, w := range p.Wildcards() {
		use += " " + strings.ToUpper(w)
	}
	positional := positionalFields(p)
	for _, field := range positional {
		use += " [" + flagName(field) + "]"
	}
	short, _, _ := strings.Cut(p.Doc, ". ")
	cmd := &cobra.Command{
		Use: use, Short: strings.TrimSuffix(short, "."), Long: p.Doc, Args: arguments(len(p.Wildcards()), positional),
		Annotations: map[string]string{"operation": p.Name},
	}
	if len(p.Examples) > 0 {
		cmd.Example = "  In chat: " + strings.Join(p.Examples, "\n  In chat: ")
	}
	yes := false
	if p.Effect == op.Destroy {
		cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask before it is done")
	}
	for _, name := range p.In.Order {
		if !slices.Contains(p.Wildcards(), name) {
			declareFlag(cmd, name, p.In.Properties[name], slices.Contains(p.In.Required, name))
		}
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		input, raw, err := readInput(cmd, p, args)
		if err != nil {
			return err
		}
		if p.Effect == op.Destroy && !yes {
			if err := m.confirm(cmd, fmt.Sprintf("%s %s", p.Name, strings.Join(args, " "))); err != nil {
				return err
			}
		}
		return m.with(cmd, func(c *client) error {
			body, err := c.call(cmd.Context(), p, input, raw)
			if err != nil {
				return err
			}
			if p.RawOut {
				_, err = cmd.OutOrStdout().Write(body)
				return err
			}
			if err := m.show(cmd.OutOrStdout(), body); err != nil {
				return err
			}
			return negative(p, body)
		})
	}
	return cmd
}

// negative makes the answer of a check that found something wrong a failure of its command, for scripts that ask.
func negative(p *op.Operation, body []byte) error {
	var answer struct {
		OK      *bool  `json:"ok"`
		Problem string `json:"problem"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.OK == nil || *answer.OK {
		return nil
	}
	return fmt.Errorf("%s is not ok: %s", p.Name, answer.Problem)
}

// positionalFields are the required texts that may also be given as arguments behind the path's own, so that
// "instances exec web-1 'ls -l'" does what people expect. Secrets are not among them: command lines are public.
func positionalFields(p *op.Operation) []string {
	var out []string
	for _, field := range p.In.Required {
		if s := p.In.Properties[field]; kind(s) == "string" && !s.WriteOnly && !slices.Contains(p.Wildcards(), field) {
			out = append(out, field)
		}
	}
	return out
}

// arguments checks the number of arguments, and hands those behind the first n to the flags of the positional fields.
func arguments(n int, positional []string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.RangeArgs(n, n+len(positional))(cmd, args); err != nil {
			return usageError{err}
		}
		for i, text := range args[n:] {
			name := flagName(positional[i])
			if cmd.Flags().Changed(name) {
				return usageError{fmt.Errorf("--%s is given twice: as a flag and as %q", name, text)}
			}
			if err := cmd.Flags().Set(name, text); err != nil {
				return usageError{err}
			}
		}
		return nil
	}
}

// flagName is how a field is spelled on the command line: memoryMb becomes memory-mb.
func flagName(field string) string {
	var b strings.Builder
	for _, r := range field {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('-')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func declareFlag(cmd *cobra.Command, field string, s *op.Schema, required bool) {
	name, usage, fs := flagName(field), s.Description, cmd.Flags()
	switch kind(s) {
	case "boolean":
		fs.Bool(name, false, usage)
	case "array":
		fs.StringSlice(name, nil, usage+" (comma-separated or repeated)")
	case "map":
		fs.StringSlice(name, nil, usage+" (KEY=VALUE, comma-separated or repeated; KEY= removes where that is possible)")
	case "object":
		fs.String(name, "", usage+" (JSON)")
	default:
		fs.String(name, "", usage)
	}
	if required {
		_ = cmd.MarkFlagRequired(name)
	}
	if s.Enum != nil {
		words := make([]string, len(s.Enum))
		for i, e := range s.Enum {
			words[i] = fmt.Sprint(e)
		}
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

func kind(s *op.Schema) string {
	switch {
	case s.Types != nil:
		return "string"
	case s.Type == "object" && s.Values != nil && s.Values.Type == "string":
		return "map"
	default:
		return s.Type
	}
}

// readInput makes the operation's input of arguments and flags. A raw field is read from its flag, or from standard
// input when the flag is "-".
func readInput(cmd *cobra.Command, p *op.Operation, args []string) (map[string]any, []byte, error) {
	input := map[string]any{}
	for i, w := range p.Wildcards() {
		input[w] = args[i]
	}
	var raw []byte
	for _, field := range p.In.Order {
		f := cmd.Flags().Lookup(flagName(field))
		if f == nil || !f.Changed || slices.Contains(p.Wildcards(), field) {
			continue
		}
		s := p.In.Properties[field]
		switch kind(s) {
		case "boolean":
			input[field] = f.Value.String() == "true"
		case "array":
			list, err := cmd.Flags().GetStringSlice(f.Name)
			if err != nil {
				return nil, nil, err
			}
			input[field] = list
		case "map":
			pairs, err := cmd.Flags().GetStringSlice(f.Name)
			if err != nil {
				return nil, nil, err
			}
			object, err := readPairs(f.Name, pairs, s.Values.Nullable)
			if err != nil {
				return nil, nil, err
			}
			input[field] = object
		case "integer", "number":
			n, err := strconv.ParseFloat(f.Value.String(), 64)
			if err != nil {
				return nil, nil, errs.BadField("--"+f.Name, "%q is not a number", f.Value)
			}
			input[field] = n
		case "object":
			var v any
			if err := json.Unmarshal([]byte(f.Value.String()), &v); err != nil {
				return nil, nil, errs.BadField("--"+f.Name, "is not JSON: %v", err)
			}
			input[field] = v
		default:
			text := f.Value.String()
			if text == "-" && (field == p.RawIn || field == "value" || field == "stdin") {
				in, err := io.ReadAll(cmd.InOrStdin())
				if err != nil {
					return nil, nil, err
				}
				text = string(in)
			}
			if field == p.RawIn {
				raw = []byte(text)
			} else {
				input[field] = text
			}
		}
	}
	return input, raw, nil
}

func readPairs(flag string, pairs []string, nullable bool) (map[string]any, error) {
	object := map[string]any{}
	for _, pair := range pairs {
		k, v, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			return nil, errs.BadField("--"+flag, "%q is not KEY=VALUE", pair)
		case v == "" && nullable:
			object[k] = nil
		default:
			object[k] = v
		}
	}
	return object, nil
}
