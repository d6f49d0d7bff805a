package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/fleet/checkpoint"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
)

// CreateIn is the input of Create.
type CreateIn struct {
	Name           string            `json:"name,omitempty" doc:"The name, such as web-1; unique in the account, made up when left out." maxLen:"500"`
	Kind           string            `json:"kind,omitempty" doc:"prebuilt: its agent is set up by the platform. blank: nothing is set up." enum:"prebuilt,blank" default:"prebuilt"`
	CheckpointRepo string            `json:"checkpointRepo,omitempty" doc:"A git repository whose files the instance begins with: owner/name on GitHub or an https address, with #branch behind it if needed." maxLen:"2200"`
	Labels         map[string]string `json:"labels,omitempty" doc:"Labels, such as {\"env\":\"staging\"}."`
	Skills         []string          `json:"skills,omitempty" doc:"Skills to install, by name or id." ref:"skill" max:"100"`
	Config         *ConfigChange     `json:"config,omitempty" doc:"Config to begin with: model, instructions, environment, limits, egressAllow."`
}

// Spec describes an instance that another part of the platform makes.
type Spec struct {
	Name           string // "" has one made up
	Kind           string // "" is Prebuilt
	CheckpointRepo string
	Labels         map[string]string
	Experiment     string // the id of the experiment that it belongs to
	Skills         []SpecSkill
	Config         ConfigChange
	// Effect names what is being done: a second call with the same Effect answers the instance that the first one made.
	Effect string
}

// SpecSkill is a skill for a new instance.
type SpecSkill struct {
	Skill    string   // id or name
	Version  int      // 0 is the newest
	Withhold []string // patterns of files that the instance does not get
}

// Create makes an instance of the actor's account. It answers when the instance runs or could not be brought up, but
// waits no longer than two seconds: then the status is still provisioning.
func (s *Service) Create(ctx context.Context, in CreateIn) (InstanceOut, error) {
	spec := Spec{Name: in.Name, Kind: in.Kind, CheckpointRepo: in.CheckpointRepo, Labels: in.Labels, Effect: op.IdempotencyKey(ctx)}
	if in.Config != nil {
		spec.Config = *in.Config
	}
	for _, skill := range in.Skills {
		spec.Skills = append(spec.Skills, SpecSkill{Skill: skill})
	}
	made, err := s.CreateFor(ctx, spec)
	return InstanceOut{Instance: made}, err
}

// CreateFor is Create for other parts of the platform.
func (s *Service) CreateFor(ctx context.Context, spec Spec) (Instance, error) {
	acct, err := account(ctx)
	if err != nil {
		return Instance{}, err
	}
	p, err := s.plan(ctx, acct, spec)
	if err != nil {
		return Instance{}, err
	}
	err = s.db.Update(ctx, func(tx *db.Tx) error { return s.insert(tx, &p, spec.Name, "instance", "name") })
	if err != nil {
		return Instance{}, err
	}
	return s.awaitNew(ctx, p.row)
}

// planned is a new instance that is checked but not stored.
type planned struct {
	row    row
	config Config
	skills []skillRow
}

func (s *Service) plan(ctx context.Context, acct string, spec Spec) (planned, error) {
	p := planned{row: s.newRow(acct, spec.Kind, spec.Effect)}
	var problems []errs.Field
	collect := func(err error) error {
		var e *errs.Error
		if errors.As(err, &e) && len(e.Fields) > 0 {
			problems = append(problems, e.Fields...)
			return nil
		}
		return err
	}
	if spec.Name != "" {
		if err := collect(checkName("name", spec.Name)); err != nil {
			return p, err
		}
	}
	if p.row.Kind != Prebuilt && p.row.Kind != Blank {
		problems = append(problems, errs.Field{Path: "kind", Detail: "must be prebuilt or blank"})
	}
	if spec.CheckpointRepo != "" {
		p.row.Checkpoint = strings.TrimSpace(spec.CheckpointRepo)
		_, _, err := checkpoint.Parse("checkpointRepo", spec.CheckpointRepo)
		if err := collect(err); err != nil {
			return p, err
		}
	}
	p.row.Experiment = spec.Experiment
	labels, change := map[string]string{}, map[string]*string{}
	for k, v := range spec.Labels {
		change[k] = &v
	}
	if err := collect(mergeLabels("labels", labels, change)); err != nil {
		return p, err
	}
	if err := p.row.setLabels(labels); err != nil {
		return p, err
	}
	var err error
	p.config, err = defaultConfig().apply(spec.Config, "config.")
	if err := collect(err); err != nil {
		return p, err
	}
	for i, k := range spec.Skills {
		v, err := s.skillVersion(ctx, k.Skill, k.Version)
		if errs.Is(err, errs.NotFound) {
			problems = append(problems, errs.Field{Path: fmt.Sprintf("skills.%d", i), Detail: err.Error()})
			continue
		}
		if err != nil {
			return p, err
		}
		withhold, err := json.Marshal(append([]string{}, k.Withhold...))
		if err != nil {
			return p, err
		}
		p.skills = append(p.skills, skillRow{Instance: p.row.ID, Skill: v.ID, Name: v.Name, Version: v.Version, Digest: v.Digest, Withhold: string(withhold)})
	}
	return p, errs.BadFields(problems)
}

// newRow is the row of an instance that is about to be made.
func (s *Service) newRow(acct, kind, effect string) row {
	if kind == "" {
		kind = Prebuilt
	}
	now := db.Millis(time.Now())
	r := row{ID: id.New(id.Instance), Account: acct, Kind: kind, Status: Provisioning, Change: 1, Labels: "{}",
		Driver: s.driver.Name(), Isolation: s.facts, Revision: 1, Effect: effect, CreatedAt: now, UpdatedAt: now}
	if r.Effect == "" {
		r.Effect = r.ID
	}
	return r
}

// insert stores a new instance with its event. Without a name one is made of base ("instance": made up). When the same
// effect made an instance before, p becomes that one.
func (s *Service) insert(tx *db.Tx, p *planned, name, base, field string) error {
	r := &p.row
	switch before, err := rowByEffect(tx, r.Account, r.Effect); {
	case err == nil:
		*r = before
		return nil
	case !errors.Is(err, db.ErrNoRows):
		return err
	}
	n, err := countRows(tx, r.Account)
	if err != nil {
		return err
	}
	if n >= s.capacity {
		return errs.New(errs.Capacity, "The account has %d instances, which is all that it may have. Delete some first.", n)
	}
	taken := func(name string) (bool, error) { return nameTaken(tx, r.Account, name) }
	switch {
	case name != "":
		used, err := taken(name)
		if err != nil {
			return err
		}
		if used {
			e := errs.New(errs.Conflict, "There is an instance %q already; choose another name.", name)
			e.Fields = []errs.Field{{Path: field, Detail: "is the name of another instance"}}
			return e
		}
		r.Name = name
	case base == "instance":
		r.Name, err = inventName(taken)
	default:
		r.Name, err = freeName(base, taken)
	}
	if err != nil {
		return err
	}
	r.NameKey = nameKey(r.Name)
	if err := insertRow(tx, *r); err != nil {
		return err
	}
	if err := insertConfig(tx, r.Account, r.ID, r.Revision, p.config, r.CreatedAt); err != nil {
		return err
	}
	for _, k := range p.skills {
		k.Instance = r.ID
		if err := putSkill(tx, r.Account, k); err != nil {
			return err
		}
	}
	return s.tell(tx, *r, "instance.created", nil)
}

// awaitNew has a new instance brought up and answers it as it is after a short wait.
func (s *Service) awaitNew(ctx context.Context, r row) (Instance, error) {
	rest := s.kick(s.unit(r.Account, r.ID), false, true)
	if err := await(ctx, rest, createWait); err != nil && !errors.Is(err, errSlow) {
		return Instance{}, err
	}
	return s.Resolve(ctx, r.ID)
}
