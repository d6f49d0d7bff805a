package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"yardmaster/internal/errs"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
)

// selfTests are the programs that a skill may bring to test itself, and how each is run.
var selfTests = []struct {
	file string
	run  []string
}{
	{"scripts/selftest.py", []string{"python3"}},
	{"scripts/selftest.sh", []string{"sh"}},
	{"scripts/selftest", nil},
}

const (
	selfTestSeconds = 300
	selfTestLines   = 20 // of output that are in an answer
)

// SkillTestIn is the input of TestSkill.
type SkillTestIn struct {
	ID       string          `json:"id" doc:"The skill: its id or name." ref:"skill"`
	Instance string          `json:"instance,omitempty" doc:"The instance to test in: its id or name. The skill must be installed there. When left out, a new instance is made for the test and deleted after it." ref:"instance"`
	Input    json.RawMessage `json:"input,omitempty" doc:"What the test reads from its standard input, as JSON." oneOf:"object,array,string"`
}

// SkillTestOut is how the test went.
type SkillTestOut struct {
	Skill      string `json:"skill"`
	Version    int    `json:"version"`
	Passed     bool   `json:"passed"`
	Detail     string `json:"detail"`
	Program    string `json:"program,omitempty"`
	ExitCode   int    `json:"exitCode"`
	Output     string `json:"output,omitempty"` // the last lines
	DurationMs int64  `json:"durationMs"`
}

// TestSkill runs a skill's own test, scripts/selftest.py, .sh or an executable without suffix, in an instance. A skill
// without one passes when its files are in place, and the detail says that nothing was run.
func (s *Service) TestSkill(ctx context.Context, in SkillTestIn) (SkillTestOut, error) {
	v, err := s.skillVersion(ctx, in.ID, 0)
	if err != nil {
		return SkillTestOut{}, err
	}
	out := SkillTestOut{Skill: v.Name, Version: v.Version}
	where := in.Instance
	if where == "" {
		made, err := s.CreateFor(ctx, Spec{
			Name: hostname(v.Name) + "-test-" + strings.TrimPrefix(id.New(id.Instance), id.Instance+"_")[20:], Kind: Blank,
			Labels: map[string]string{"purpose": "skill-test"}, Skills: []SpecSkill{{Skill: v.ID, Version: v.Version}}, Effect: op.IdempotencyKey(ctx),
		})
		if err != nil {
			return out, err
		}
		where = made.ID
		defer func() {
			// Also when the caller has gone. What a crash leaves is an instance that its label explains.
			if _, err := s.Delete(context.WithoutCancel(ctx), RefIn{ID: made.ID}); err != nil && !errs.Is(err, errs.NotFound) {
				s.log.Error("delete the test instance", "instance", made.ID, "error", err)
			}
		}()
	}
	found, err := s.Resolve(ctx, where)
	if err != nil {
		return out, err
	}
	installed := false
	for _, k := range found.Skills {
		if k.ID == v.ID {
			installed, out.Version = true, k.Version
		}
	}
	if !installed {
		return out, errs.New(errs.Conflict, "%s is not installed in %s; install it first.", v.Name, found.Name)
	}
	err = s.runSelfTest(ctx, where, in.Input, &out)
	return out, err
}

func (s *Service) runSelfTest(ctx context.Context, where string, input json.RawMessage, out *SkillTestOut) error {
	for _, t := range selfTests {
		file := path.Join("skills", out.Skill, t.file)
		if _, err := s.ReadFile(ctx, where, file, maxFile); errs.Is(err, errs.NotFound) {
			continue
		} else if err != nil {
			return err
		}
		command, err := json.Marshal(append(append([]string{}, t.run...), "/"+file))
		if err != nil {
			return err
		}
		began := time.Now()
		r, err := s.Exec(ctx, ExecIn{ID: where, Command: command, TimeoutSeconds: selfTestSeconds, Stdin: string(input)})
		if err != nil {
			return err
		}
		out.Program, out.ExitCode, out.DurationMs = t.file, r.ExitCode, time.Since(began).Milliseconds()
		out.Output = lastLines(r.Stdout+r.Stderr, selfTestLines)
		out.Passed = r.ExitCode == 0
		switch {
		case r.TimedOut:
			out.Detail = fmt.Sprintf("The self-test did not end within %d seconds.", selfTestSeconds)
		case out.Passed:
			out.Detail = "The self-test passed."
		default:
			out.Detail = fmt.Sprintf("The self-test failed with exit code %d.", r.ExitCode)
		}
		return nil
	}
	if _, err := s.ReadFile(ctx, where, path.Join("skills", out.Skill, "SKILL.md"), maxFile); err != nil {
		return err
	}
	out.Passed, out.Detail = true, "The skill has no self-test (scripts/selftest.py or .sh), so only its files were checked."
	return nil
}

// lastLines answers the last n lines of a text.
func lastLines(text string, n int) string {
	lines := bytes.Split(bytes.TrimRight([]byte(text), "\n"), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
