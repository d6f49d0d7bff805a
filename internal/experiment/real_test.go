package experiment_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yardmaster/internal/db"
	"yardmaster/internal/event"
	"yardmaster/internal/experiment"
	"yardmaster/internal/fleet"
	"yardmaster/internal/job"
	"yardmaster/internal/op"
	"yardmaster/internal/sandbox/native"
	"yardmaster/internal/skill"
	"yardmaster/skills"
)

// placer is the store of skills in the terms of the fleet.
type placer struct{ *skill.Service }

func (p placer) Version(ctx context.Context, ref string, n int) (fleet.SkillVersion, error) {
	v, err := p.Service.Version(ctx, ref, n)
	return fleet.SkillVersion{ID: v.Skill, Name: v.Name, Version: v.Version, Digest: v.Digest}, err
}

// In real instances the bundled skill has the scores that it has as plain processes of this machine.
func TestRealInstances(t *testing.T) {
	t.Parallel()
	python(t)
	driver, err := native.New(native.Options{})
	if err == nil {
		t.Cleanup(func() { _ = driver.Close() })
		_, err = driver.Probe(t.Context())
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no real instances on this machine: ", err)
	}
	dir := t.TempDir()
	for up := dir; up != "/tmp" && up != "/"; up = filepath.Dir(up) { // instances have user ids of their own
		_ = os.Chmod(up, 0o755)
	}
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(dir, "y.db"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := op.WithActor(t.Context(), op.System("acct_a"))
	events, jobs := event.New(d), job.New(d, slog.New(slog.DiscardHandler), true)
	store, err := skill.New(ctx, skill.Options{DB: d, Events: events, Dir: filepath.Join(dir, "skills"), Bundled: skills.FS(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Seed(ctx, "acct_a"); err != nil {
		t.Fatal(err)
	}
	yardFleet, err := fleet.New(fleet.Options{DB: d, Events: events, Dir: filepath.Join(dir, "instances"), Driver: driver, Skills: placer{store}})
	if err != nil {
		t.Fatal(err)
	}
	if err := yardFleet.Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	s := experiment.New(experiment.Options{DB: d, Events: events, Jobs: jobs, Fleet: yardFleet, Skills: store})
	if err := jobs.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		jobs.Stop()
		_ = yardFleet.Close()
		_ = store.Close()
		_ = d.Close()
	})
	in := experiment.CreateIn{Skill: "aqi-predictor", Variants: 3, Suite: "ozone-50"}
	out, err := s.Create(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	real, err := s.Wait(ctx, experiment.WaitIn{ID: out.Experiment.ID, TimeoutSeconds: 120})
	if err != nil || real.Experiment.Status != experiment.Scored {
		t.Fatalf("%+v, %v", real.Experiment, err)
	}
	plain := newYard(t, map[string]fs.FS{"aqi-predictor": bundled()})
	want := plain.scored(plain.create(in).ID)
	for i, w := range want.Leaderboard {
		if got := real.Leaderboard[i]; got.Name != w.Name || *got.Score != *w.Score || got.Cost.CPUMs <= 0 {
			t.Errorf("%s scored %v, want %s with %v", got.Name, *got.Score, w.Name, *w.Score)
		}
	}
	// What is withheld is not in the instance.
	files, err := yardFleet.Exec(ctx, fleet.ExecIn{ID: real.Leaderboard[0].Instance, Command: json.RawMessage(`"find /skills -name '*.csv'; tail -1 /home/agent/experiment/search/ozone-daily-1987.csv"`)})
	if err != nil || strings.Contains(files.Stdout, "/skills") || !strings.HasPrefix(files.Stdout, "1987-07-01,") {
		t.Errorf("%q, %v", files.Stdout, err)
	}
	if _, err := s.Delete(ctx, experiment.RefIn{ID: out.Experiment.ID}); err != nil {
		t.Fatal(err)
	}
	if list, err := yardFleet.List(ctx, fleet.ListIn{}); err != nil || len(list.Instances) != 0 {
		t.Errorf("%d instances are left, %v", len(list.Instances), err)
	}
}
