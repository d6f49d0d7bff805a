package fleet_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"yardmaster/internal/errs"
	"yardmaster/internal/fleet"
)

// TestModel does random operations, deaths and restarts of the service, and compares with a model of what must be: no
// instance is ever stuck, lost or left behind, and no file changes but by being written.
func TestModel(t *testing.T) {
	t.Parallel()
	n := 0
	y := newYard(t)
	rapid.Check(t, func(rt *rapid.T) {
		n++
		type thing struct {
			status   string
			text     string
			restarts int
			broken   bool
			skill    bool
		}
		model := map[string]*thing{} // by id
		defer func() {
			for id := range model {
				if _, err := y.Delete(y.ctx, fleet.RefIn{ID: id}); err != nil {
					rt.Error(err)
				}
			}
		}()
		pick := func() string { return rapid.SampledFrom(slices.Sorted(maps.Keys(model))).Draw(rt, "instance") }
		some := func(fn func(id string, m *thing)) func(*rapid.T) {
			return func(rt *rapid.T) {
				if len(model) == 0 {
					rt.Skip("no instance")
				}
				id := pick()
				fn(id, model[id])
			}
		}
		ok := func(err error) {
			if err != nil {
				rt.Fatal(err)
			}
		}
		// bring is what starting or restarting must come to.
		bring := func(m *thing, err error) {
			m.status = fleet.Active
			if m.broken {
				m.status = fleet.Failed
				if !errs.Is(err, errs.Unavailable) {
					rt.Fatalf("a broken instance started: %v", err)
				}
				return
			}
			ok(err)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"create": func(*rapid.T) {
				m := &thing{status: fleet.Active, broken: rapid.IntRange(0, 9).Draw(rt, "broken") == 0}
				in := fleet.CreateIn{}
				if m.broken {
					m.status, in.CheckpointRepo = fleet.Failed, "http://127.0.0.1:9/x/y"
				}
				out, err := y.Create(y.ctx, in)
				ok(err)
				y.settle(out.Instance.ID)
				model[out.Instance.ID] = m
			},
			"stop": some(func(id string, m *thing) {
				_, err := y.Stop(y.ctx, fleet.RefIn{ID: id})
				ok(err)
				m.status = fleet.Inactive
			}),
			"start": some(func(id string, m *thing) {
				was := m.status
				_, err := y.Start(y.ctx, fleet.RefIn{ID: id})
				if was == fleet.Active {
					ok(err)
					return
				}
				bring(m, err)
			}),
			"restart": some(func(id string, m *thing) {
				_, err := y.Restart(y.ctx, fleet.RefIn{ID: id})
				m.restarts++
				bring(m, err)
			}),
			"suspend": some(func(id string, m *thing) {
				out, err := y.Suspend(y.ctx, id, "held")
				ok(err)
				if m.status != fleet.Failed {
					m.status = fleet.Suspended
				}
				if out.Instance.Status != m.status {
					rt.Fatalf("suspended: %s", out.Instance.Status)
				}
			}),
			"delete": some(func(id string, _ *thing) {
				_, err := y.Delete(y.ctx, fleet.RefIn{ID: id})
				ok(err)
				delete(model, id)
			}),
			"die": some(func(id string, m *thing) {
				if up := y.fake.die(id); up != (m.status == fleet.Active) {
					// An active one may be down for a moment after a reopening or a death.
					if m.status != fleet.Active {
						rt.Fatalf("%s is up and %s", id, m.status)
					}
				}
			}),
			"write": some(func(id string, m *thing) {
				text := rapid.StringMatching(`[a-z]{0,9}`).Draw(rt, "text")
				err := y.WriteFile(y.ctx, id, "f", []byte(text))
				if m.broken {
					if !errs.Is(err, errs.Conflict) {
						rt.Fatalf("wrote into a broken instance: %v", err)
					}
					return
				}
				ok(err)
				m.text = text
			}),
			"exec": some(func(id string, m *thing) {
				out, err := y.Exec(y.ctx, fleet.ExecIn{ID: id, Command: shell("touch f; cat f")})
				if m.status != fleet.Active {
					if !errs.Is(err, errs.Conflict) {
						rt.Fatalf("exec while %s: %v", m.status, err)
					}
					return
				}
				if errs.Is(err, errs.Unavailable) && strings.Contains(err.Error(), "while the command ran") {
					return // it died just now
				}
				if ok(err); out.Stdout != m.text {
					rt.Fatalf("%q, want %q", out.Stdout, m.text)
				}
			}),
			"install": some(func(id string, m *thing) {
				out, err := y.Install(y.ctx, fleet.InstallIn{ID: "greeter", Instances: []string{id}})
				if ok(err); !out.Results[0].OK {
					rt.Fatalf("%+v", out)
				}
				m.skill = true
			}),
			"uninstall": some(func(id string, m *thing) {
				out, err := y.Uninstall(y.ctx, fleet.UninstallIn{ID: "greeter", Instances: []string{id}})
				if ok(err); !out.Results[0].OK {
					rt.Fatalf("%+v", out)
				}
				m.skill = false
			}),
			"clone": some(func(id string, m *thing) {
				out, err := y.Clone(y.ctx, fleet.CloneIn{ID: id})
				if m.broken {
					if !errs.Is(err, errs.Conflict) {
						rt.Fatalf("cloned a broken instance: %v", err)
					}
					return
				}
				ok(err)
				c := out.Instances[0].ID
				y.settle(c)
				model[c] = &thing{status: fleet.Active, text: m.text, skill: m.skill}
			}),
			"reopen": func(*rapid.T) { y.reopen() },
			"": func(*rapid.T) {
				list, err := y.List(y.ctx, fleet.ListIn{})
				ok(err)
				if len(list.Instances) != len(model) || len(y.folders()) > len(model) {
					rt.Fatalf("%d instances and %d folders, want %d", len(list.Instances), len(y.folders()), len(model))
				}
				for _, in := range list.Instances {
					m := model[in.ID]
					if m == nil {
						rt.Fatalf("%s is not in the model", in.ID)
					}
					if in.Status != m.status || in.Restarts != m.restarts || (len(in.Skills) == 1) != m.skill || (in.LastError != "") != (m.status == fleet.Failed || m.status == fleet.Suspended) {
						rt.Fatalf("%+v, want %+v", in, *m)
					}
					file := filepath.Join(y.dir, "instances", in.ID, "home", "f")
					if got, err := os.ReadFile(file); string(got) != m.text || err != nil && m.text != "" {
						rt.Fatalf("%s holds %q, want %q: %v", file, got, m.text, err)
					}
					if !m.broken && m.skill != exists(filepath.Join(y.dir, "instances", in.ID, "skills", "greeter", "SKILL.md")) {
						rt.Fatalf("the files of the skill in %s: want %v", in.ID, m.skill)
					}
				}
			},
		})
	})
	t.Log(fmt.Sprint(n, " runs"))
}
