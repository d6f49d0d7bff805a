package fleet_test

import (
	"errors"
	"strings"
	"testing"

	"yardmaster/internal/errs"
	"yardmaster/internal/fleet"
)

func TestSkills(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.makeWith(fleet.CreateIn{Name: "s1", Labels: map[string]string{"env": "staging"}})
	y.makeWith(fleet.CreateIn{Name: "s2", Labels: map[string]string{"env": "staging"}})
	p1 := y.makeWith(fleet.CreateIn{Name: "p1", Skills: []string{"counter"}})
	if len(p1.Skills) != 1 || p1.Skills[0] != (fleet.InstalledSkill{ID: "skill_counter", Name: "counter", Version: 1, Digest: "sha256:counter-1"}) {
		t.Errorf("%+v", p1.Skills)
	}
	results := func(out fleet.SkillResults, err error) string {
		t.Helper()
		if err != nil {
			return err.Error()
		}
		var parts []string
		for _, r := range out.Results {
			mark := "ok"
			if !r.OK {
				mark = "failed"
			}
			parts = append(parts, r.Instance+" "+mark+": "+r.Detail)
		}
		return strings.Join(parts, "; ")
	}
	expect := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	expect(results(y.Install(y.ctx, fleet.InstallIn{ID: "greeter", Label: "env=staging", Version: 1})), "s1 ok: version 1 is installed; s2 ok: version 1 is installed")
	expect(results(y.Install(y.ctx, fleet.InstallIn{ID: "skill_greeter", Instances: []string{"s1", "p1"}})), "s1 ok: version 2 is installed; p1 ok: version 2 is installed")
	expect(results(y.Install(y.ctx, fleet.InstallIn{ID: "greeter", Instances: []string{"s1"}})), "s1 ok: version 2 is installed already")
	expect(y.read("s1", "skills/greeter/SKILL.md"), "sha256:greeter-2")
	expect(y.read("s2", "/skills/greeter/SKILL.md"), "sha256:greeter-1")
	expect(results(y.Install(y.ctx, fleet.InstallIn{ID: "nope", Instances: []string{"s1"}})), `There is no skill "nope".`)
	expect(results(y.Install(y.ctx, fleet.InstallIn{ID: "greeter", Version: 9, Instances: []string{"s1"}})), `There is no skill "greeter".`)
	expect(results(y.Install(y.ctx, fleet.InstallIn{ID: "greeter", Instances: []string{"s1", "none"}})), `There is no instance "none".`)
	expect(results(y.Install(y.ctx, fleet.InstallIn{ID: "greeter"})), "instances: say which instances: their names or ids, or a label such as env=staging")

	// Skills stay over a stop and a start, and a folder that nobody installed is cleared away.
	if _, err := y.Stop(y.ctx, fleet.RefIn{ID: "p1"}); err != nil {
		t.Fatal(err)
	}
	expect(results(y.Uninstall(y.ctx, fleet.UninstallIn{ID: "counter", Instances: []string{"p1", "s1"}})), "p1 ok: it is uninstalled; s1 ok: it was not installed")
	y.reopen()
	if _, err := y.Start(y.ctx, fleet.RefIn{ID: "p1"}); err != nil {
		t.Fatal(err)
	}
	out, err := y.ListFiles(y.ctx, fleet.FilesIn{ID: "p1", Path: "skills"})
	if err != nil || len(out.Entries) != 1 || out.Entries[0].Name != "greeter" {
		t.Errorf("%+v %v", out, err)
	}

	users, err := y.SkillUsers(y.ctx, "skill_greeter")
	if err != nil || len(users) != 3 {
		t.Errorf("%d users: %v", len(users), err)
	}
	if err := y.RemoveSkill(y.ctx, "skill_greeter"); err != nil {
		t.Error(err)
	}
	if in := y.get("s2"); len(in.Skills) != 0 {
		t.Errorf("%+v", in.Skills)
	}
}

// An installation that fails leaves what was installed before.
func TestInstallFails(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.make("w")
	install := func(version int) fleet.SkillResult {
		t.Helper()
		out, err := y.Install(y.ctx, fleet.InstallIn{ID: "greeter", Instances: []string{"w"}, Version: version})
		if err != nil {
			t.Fatal(err)
		}
		return out.Results[0]
	}
	fail := func(err error) {
		y.skills.mu.Lock()
		defer y.skills.mu.Unlock()
		y.skills.fail = err
	}
	fail(errs.New(errs.Capacity, "The disk is full."))
	if r := install(1); r.OK || r.Detail != "The disk is full." || len(y.get("w").Skills) != 0 {
		t.Errorf("%+v", r)
	}
	fail(nil)
	install(1)
	fail(errors.New("internal: path /var/lib/x"))
	if r := install(2); r.OK || strings.Contains(r.Detail, "/var/lib") {
		t.Errorf("%+v", r)
	}
	if in := y.get("w"); len(in.Skills) != 1 || in.Skills[0].Version != 1 {
		t.Errorf("%+v", in.Skills)
	}
	fail(nil)
	if r := install(2); !r.OK {
		t.Errorf("%+v", r)
	}
}

func TestWithheldFiles(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	in, err := y.CreateFor(y.ctx, fleet.Spec{Name: "variant", Experiment: "exp_1", Skills: []fleet.SpecSkill{{Skill: "greeter", Version: 1, Withhold: []string{"data.csv"}}}})
	if err != nil {
		t.Fatal(err)
	}
	y.settle(in.ID)
	gone := func(when, ref string) {
		t.Helper()
		if _, err := y.ReadFile(y.ctx, ref, "skills/greeter/data.csv", 100); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: %v", when, err)
		}
		if data, err := y.ReadFile(y.ctx, ref, "skills/greeter/SKILL.md", 100); err != nil || len(data) == 0 {
			t.Errorf("%s: %v", when, err)
		}
	}
	gone("new", "variant")
	if _, err := y.Install(y.ctx, fleet.InstallIn{ID: "greeter", Instances: []string{"variant"}}); err != nil {
		t.Fatal(err)
	}
	gone("another version", "variant")
	out, err := y.Clone(y.ctx, fleet.CloneIn{ID: "variant", Name: "copy"})
	if err != nil {
		t.Fatal(err)
	}
	y.settle(out.Instances[0].ID)
	gone("clone", "copy")
	if c := y.get("copy"); c.Experiment != "" {
		t.Errorf("a clone is in experiment %q", c.Experiment)
	}
	list, err := y.List(y.ctx, fleet.ListIn{Experiment: "exp_1"})
	if err != nil || len(list.Instances) != 1 {
		t.Errorf("%+v %v", list, err)
	}
}

func TestSelfTest(t *testing.T) {
	t.Parallel()
	y := newNativeYard(t)
	out, err := y.TestSkill(y.ctx, fleet.SkillTestIn{ID: "greeter", Input: []byte(`{"a":1}`)})
	if err != nil || !out.Passed || out.Output != `tested {"a":1}` || out.Program != "scripts/selftest.sh" || out.Version != 2 {
		t.Errorf("%+v %v", out, err)
	}
	if list, err := y.List(y.ctx, fleet.ListIn{}); err != nil || len(list.Instances) != 0 {
		t.Errorf("the test left %+v, %v", list.Instances, err)
	}
	y.make("w")
	_, err = y.TestSkill(y.ctx, fleet.SkillTestIn{ID: "greeter", Instance: "w"})
	want(t, err, errs.Conflict, "install it first")
	_, err = y.TestSkill(y.ctx, fleet.SkillTestIn{ID: "nope"})
	want(t, err, errs.NotFound, "nope")
}
