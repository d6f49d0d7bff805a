package experiment

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/fleet"
)

// deploy makes the instances of the newest generation that are not there.
func (r *runner) deploy(ctx context.Context) error {
	if err := r.refresh(ctx); err != nil {
		return err
	}
	var todo []*variantRow
	for i := range r.st.variants {
		if v := &r.st.variants[i]; v.Generation == r.st.Generation && v.Instance == "" {
			todo = append(todo, v)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	if err := r.stage(ctx, stageDeploying, len(todo), "Deploying "+count(len(todo), "variant", "variants")+", each in an instance of its own."); err != nil {
		return err
	}
	g, group := errgroup.WithContext(ctx)
	for _, v := range todo {
		g.Go(func() error {
			select {
			case r.deploys <- struct{}{}:
				defer func() { <-r.deploys }()
			case <-group.Done():
				return group.Err()
			}
			return r.deployVariant(group, v)
		})
	}
	return g.Wait()
}

// maxSuffix bounds the tries to find a free name for an instance.
const maxSuffix = 50

// deployVariant gives a variant an instance unless it has one. The instance is the same when it is made again after a
// crash, because its making is named.
func (r *runner) deployVariant(ctx context.Context, v *variantRow) error {
	if v.Instance != "" {
		_, err := r.fleet.Resolve(ctx, v.Instance)
		if err == nil || !errs.Is(err, errs.NotFound) {
			return err
		}
		if err := r.forget(ctx, *v); err != nil { // somebody deleted it
			return err
		}
		v.Instance, v.Seen, v.Making = "", 0, v.Making+1
	}
	if err := r.at("make instance"); err != nil {
		return err
	}
	in := fleet.Spec{
		Name: v.Name, Experiment: r.st.ID, Effect: fmt.Sprintf("experiment variant %s %d", v.ID, v.Making),
		Labels: map[string]string{"experiment": labelValue(r.st.Name), "generation": strconv.Itoa(v.Generation)},
		Skills: []fleet.SpecSkill{{Skill: r.st.Skill, Version: r.st.SkillVersion, Withhold: r.plan.spec.Withheld()}},
	}
	made, err := r.fleet.CreateFor(ctx, in)
	for n := 2; isNameTaken(err) && n <= maxSuffix; n++ {
		in.Name = fmt.Sprintf("%s-%d", v.Name, n)
		made, err = r.fleet.CreateFor(ctx, in)
	}
	if errs.Is(err, errs.Capacity) || errs.Is(err, errs.Invalid) {
		return failure{errs.Public(err)} // trying again changes nothing
	}
	if err != nil {
		return err
	}
	if err := r.at("store instance"); err != nil {
		return err
	}
	v.Instance, v.InstanceName = made.ID, made.Name
	return r.change(ctx, r.job, r.st.ID, func(tx *db.Tx, st *state) error {
		now := st.variant(v.ID)
		if now == nil {
			return errs.New(errs.NotFound, "The variant is gone.")
		}
		now.Instance, now.InstanceName = made.ID, made.Name
		if err := updateVariant(tx, *now); err != nil {
			return err
		}
		if made.Name != v.Name {
			g := st.generations[v.Generation-1]
			note := fmt.Sprintf("The instance of %s is named %s, because another instance has that name.", v.Name, made.Name)
			if notes := notesOf(g); !slices.Contains(notes, note) {
				g.Notes = jsonNotes(append(notes, note))
				if err := updateGeneration(tx, g); err != nil {
					return err
				}
			}
		}
		return r.tell(tx, st.row, "experiment.progress", Progress{Stage: stageDeploying, Done: int(r.done.Add(1)), Total: len(st.members(v.Generation)),
			Variant: v.Name, Text: fmt.Sprintf("%s is deployed: %s.", v.Name, v.genome.Describe())})
	})
}

func isNameTaken(err error) bool {
	if !errs.Is(err, errs.Conflict) {
		return false
	}
	e := errs.Public(err)
	return slices.ContainsFunc(e.Fields, func(f errs.Field) bool { return f.Path == "name" })
}

// forget records that a variant has no instance any more.
func (r *runner) forget(ctx context.Context, v variantRow) error {
	return r.change(ctx, r.job, r.st.ID, func(tx *db.Tx, st *state) error {
		now := st.variant(v.ID)
		now.Instance, now.InstanceName, now.Seen, now.Making = "", "", 0, v.Making+1
		return updateVariant(tx, *now)
	})
}

// remove deletes an instance; one that is gone already is fine.
func (s *Service) remove(ctx context.Context, instance string) error {
	_, err := s.fleet.Delete(ctx, fleet.RefIn{ID: instance})
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

var notInLabels = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// labelValue makes of a name what may be a label's value.
func labelValue(name string) string {
	v := notInLabels.ReplaceAllString(name, "-")
	return strings.Trim(v[:min(len(v), 63)], "._-")
}
