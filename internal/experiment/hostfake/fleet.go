package hostfake

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"yardmaster/internal/errs"
	"yardmaster/internal/fleet"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
	"yardmaster/internal/sandbox"
	"yardmaster/internal/skill"
)

// FakeFleet is a fleet whose instances are folders and whose commands are plain processes.
type FakeFleet struct {
	dir    string
	skills *FakeSkills

	// BeforeSpawn, if set, is called before a command starts; its error is that of Spawn.
	BeforeSpawn func(instance string, cmd fleet.Spawn) error

	mu        sync.Mutex
	instances []*fakeInstance
	Made      int // how many instances were made
}

type fakeInstance struct {
	fleet.Instance
	account, effect string
	env             map[string]string
	withhold        []string
}

// NewFakeFleet makes a fleet below dir.
func NewFakeFleet(dir string, skills *FakeSkills) *FakeFleet {
	return &FakeFleet{dir: dir, skills: skills}
}

// All answers the instances that are there.
func (f *FakeFleet) All() []fleet.Instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]fleet.Instance, len(f.instances))
	for i, in := range f.instances {
		out[i] = in.Instance
	}
	return out
}

// Home is the home folder of an instance.
func (f *FakeFleet) Home(instance string) string { return filepath.Join(f.dir, instance, "home") }

// Env is the configured environment of an instance.
func (f *FakeFleet) Env(ctx context.Context, ref string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if in := f.find(ctx, ref); in != nil {
		return in.env
	}
	return nil
}

func (f *FakeFleet) find(ctx context.Context, ref string) *fakeInstance {
	for _, in := range f.instances {
		if in.account == op.ActorFrom(ctx).Account && (in.ID == ref || in.Name == ref) {
			return in
		}
	}
	return nil
}

func missing(ref string) error { return errs.New(errs.NotFound, "There is no instance %q.", ref) }

// CreateFor implements experiment.Fleet.
func (f *FakeFleet) CreateFor(ctx context.Context, spec fleet.Spec) (fleet.Instance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, in := range f.instances {
		if in.effect == spec.Effect && in.account == op.ActorFrom(ctx).Account {
			return in.Instance, nil
		}
	}
	if f.find(ctx, spec.Name) != nil {
		e := errs.New(errs.Conflict, "There is an instance %q already.", spec.Name)
		e.Fields = []errs.Field{{Path: "name", Detail: "is taken"}}
		return fleet.Instance{}, e
	}
	in := &fakeInstance{account: op.ActorFrom(ctx).Account, effect: spec.Effect, env: map[string]string{},
		Instance: fleet.Instance{ID: id.New(id.Instance), Name: spec.Name, Status: fleet.Active, Labels: spec.Labels, Experiment: spec.Experiment}}
	if in.Labels == nil {
		in.Labels = map[string]string{}
	}
	if err := os.MkdirAll(f.Home(in.ID), 0o755); err != nil {
		return fleet.Instance{}, err
	}
	for _, sk := range spec.Skills {
		in.withhold = sk.Withhold
		if err := f.place(in, sk.Skill, sk.Version); err != nil {
			return fleet.Instance{}, err
		}
	}
	f.instances = append(f.instances, in)
	f.Made++
	return in.Instance, nil
}

func (f *FakeFleet) place(in *fakeInstance, ref string, version int) error {
	v, err := f.skills.Version(context.Background(), ref, version)
	if err != nil {
		return err
	}
	fsys, err := f.skills.Open(v.Digest)
	if err != nil {
		return err
	}
	to := filepath.Join(f.dir, in.ID, "skills", v.Name)
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	in.Skills = []fleet.InstalledSkill{{ID: v.Skill, Name: v.Name, Version: v.Version, Digest: v.Digest}}
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || slices.Contains(in.withhold, name) {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		raw, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), raw, 0o644)
	})
}

// Resolve implements experiment.Fleet.
func (f *FakeFleet) Resolve(ctx context.Context, ref string) (fleet.Instance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.find(ctx, ref)
	if in == nil {
		return fleet.Instance{}, missing(ref)
	}
	return in.Instance, nil
}

// Spawn implements experiment.Fleet. Paths inside are translated to those of the folder.
func (f *FakeFleet) Spawn(ctx context.Context, ref string, cmd fleet.Spawn) (sandbox.Process, error) {
	in, err := f.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	if f.BeforeSpawn != nil {
		if err := f.BeforeSpawn(in.ID, cmd); err != nil {
			return nil, err
		}
	}
	inside := strings.NewReplacer(sandbox.HomeDir, f.Home(in.ID), sandbox.SkillsDir+"/", filepath.Join(f.dir, in.ID, "skills")+"/")
	env := []string{"HOME=" + f.Home(in.ID)}
	for _, e := range cmd.Env {
		env = append(env, inside.Replace(e))
	}
	dir := f.Home(in.ID)
	if cmd.Dir != "" {
		dir = inside.Replace(cmd.Dir)
	}
	return Start(ctx, Command{Argv: cmd.Argv, Dir: dir, Env: env, Stdin: cmd.Stdin, Stdout: cmd.Stdout, Stderr: cmd.Stderr})
}

// WriteFile implements experiment.Fleet.
func (f *FakeFleet) WriteFile(ctx context.Context, ref, path string, data []byte) error {
	in, err := f.Resolve(ctx, ref)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(f.Home(in.ID))
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // a folder that was only looked into
	if err := root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".tmp-" + id.New("tmp")
	if err := root.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return root.Rename(tmp, path)
}

// Install implements experiment.Fleet.
func (f *FakeFleet) Install(ctx context.Context, in fleet.InstallIn) (fleet.SkillResults, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out fleet.SkillResults
	for _, ref := range in.Instances {
		on := f.find(ctx, ref)
		if on == nil {
			return out, missing(ref)
		}
		if err := f.place(on, in.ID, in.Version); err != nil {
			return out, err
		}
		out.Results = append(out.Results, fleet.SkillResult{Instance: on.Name, ID: on.ID, OK: true})
	}
	return out, nil
}

// Update implements experiment.Fleet.
func (f *FakeFleet) Update(ctx context.Context, in fleet.UpdateIn) (fleet.InstanceOut, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	on := f.find(ctx, in.ID)
	if on == nil {
		return fleet.InstanceOut{}, missing(in.ID)
	}
	merge(on.Labels, in.Labels)
	return fleet.InstanceOut{Instance: on.Instance}, nil
}

// UpdateConfig implements experiment.Fleet.
func (f *FakeFleet) UpdateConfig(ctx context.Context, in fleet.UpdateConfigIn) (fleet.ConfigOut, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	on := f.find(ctx, in.ID)
	if on == nil {
		return fleet.ConfigOut{}, missing(in.ID)
	}
	merge(on.env, in.Environment)
	return fleet.ConfigOut{}, nil
}

func merge(m map[string]string, change map[string]*string) {
	for k, v := range change {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = *v
		}
	}
}

// Delete implements experiment.Fleet.
func (f *FakeFleet) Delete(ctx context.Context, in fleet.RefIn) (fleet.OKOut, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	on := f.find(ctx, in.ID)
	if on == nil {
		return fleet.OKOut{}, missing(in.ID)
	}
	f.instances = slices.DeleteFunc(f.instances, func(o *fakeInstance) bool { return o == on })
	return fleet.OKOut{OK: true}, os.RemoveAll(filepath.Join(f.dir, on.ID))
}

// FakeSkills are skills in memory, each with one version.
type FakeSkills struct {
	mu     sync.Mutex
	byName map[string]fs.FS
}

// NewFakeSkills makes skills by name.
func NewFakeSkills(byName map[string]fs.FS) *FakeSkills { return &FakeSkills{byName: byName} }

// Version implements experiment.Skills. The digest is the name.
func (f *FakeSkills) Version(_ context.Context, ref string, _ int) (skill.Version, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := strings.TrimPrefix(ref, "skill_")
	if f.byName[name] == nil {
		return skill.Version{}, errs.New(errs.NotFound, "There is no skill %q.", ref)
	}
	return skill.Version{Skill: "skill_" + name, Name: name, Version: 1, Digest: name}, nil
}

// Open implements experiment.Skills.
func (f *FakeSkills) Open(digest string) (fs.FS, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byName[digest] == nil {
		return nil, fmt.Errorf("no version %s", digest)
	}
	return f.byName[digest], nil
}
