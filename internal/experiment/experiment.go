// Package experiment tries variants of a skill, scores them fairly, and breeds better ones.
//
// An experiment has generations of variants. Each variant has an instance of its own, in which the platform plays the
// cases of a suite with it and scores its answers outside. What is known about variants is a function of the stored
// evaluations; what the next generation is, a function of them and the experiment's seed. So a job that was killed goes
// on where it was: it looks at what is stored and does what is missing.
//
// # Splits
//
// All variants are scored on the split search. Those of the best that can't be told apart are scored on select, and the
// displayed best moves only for an improvement of more than one standard error there (the Ladder rule of Blum and Hardt,
// 2015). Only the best of a generation is scored on sealed, and each such opening is recorded and shown.
//
// # Statuses of an experiment
//
//	running     variants are being deployed and scored        → scored, failed, cancelling, deleting
//	scored      at rest                                       → running (evolve, ensemble, evaluate), deleting
//	failed      at rest; lastError says why and the mend      → running, deleting
//	cancelling  the work is being stopped                     → cancelled, deleting
//	cancelled   at rest; what was scored stays                → running, deleting
//	deleting    its instances are being removed               → it is gone
package experiment

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/experiment/spec"
	"yardmaster/internal/experiment/suite"
	"yardmaster/internal/fleet"
	"yardmaster/internal/job"
	"yardmaster/internal/op"
	"yardmaster/internal/sandbox"
	"yardmaster/internal/skill"
)

// The statuses of experiments.
const (
	Running    = "running"
	Scored     = "scored"
	Failed     = "failed"
	Cancelling = "cancelling"
	Cancelled  = "cancelled"
	Deleting   = "deleting"
)

// Fleet is what experiments need of the instances. Methods take the actor from the context.
type Fleet interface {
	CreateFor(ctx context.Context, spec fleet.Spec) (fleet.Instance, error)
	Resolve(ctx context.Context, ref string) (fleet.Instance, error)
	Spawn(ctx context.Context, id string, cmd fleet.Spawn) (sandbox.Process, error)
	WriteFile(ctx context.Context, id, path string, data []byte) error
	Install(ctx context.Context, in fleet.InstallIn) (fleet.SkillResults, error)
	Update(ctx context.Context, in fleet.UpdateIn) (fleet.InstanceOut, error)
	UpdateConfig(ctx context.Context, in fleet.UpdateConfigIn) (fleet.ConfigOut, error)
	Delete(ctx context.Context, in fleet.RefIn) (fleet.OKOut, error)
}

// Skills is what experiments need of the skills. Methods take the actor from the context.
type Skills interface {
	// Version finds a version of a skill; n = 0 is the newest.
	Version(ctx context.Context, ref string, n int) (skill.Version, error)
	// Open answers the files of a version.
	Open(digest string) (fs.FS, error)
}

// Options are what a Service needs.
type Options struct {
	DB     *db.DB
	Events *event.Log
	Jobs   *job.Queue
	Fleet  Fleet
	Skills Skills
	Log    *slog.Logger
	// Workers bounds how many evaluations run at once; 0 is the number of processors, at most 4.
	Workers int
	// Fault, if set, is called before each step that is stored, with the step's name. Its error ends the job as if the
	// process had died there. It is for tests.
	Fault func(step string) error
}

// Service keeps the experiments of all accounts.
type Service struct {
	db      *db.DB
	events  *event.Log
	jobs    *job.Queue
	fleet   Fleet
	skills  Skills
	log     *slog.Logger
	fault   func(step string) error
	workers chan struct{} // a token for each evaluation at work
	deploys chan struct{} // a token for each instance being made

	mu      sync.Mutex
	running map[string]*work   // by experiment
	loaded  map[string]*loaded // by skill digest
	recent  []string           // the keys of loaded, the newest last
}

// work is a job of this process on an experiment.
type work struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// The kinds of jobs.
const (
	jobRun     = "experiment.run"
	jobDelete  = "experiment.delete"
	jobPromote = "experiment.promote"
)

// New makes a service and registers its jobs. It MUST be called before the queue starts.
func New(o Options) *Service {
	if o.Workers <= 0 {
		o.Workers = min(runtime.NumCPU(), 4)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Fault == nil {
		o.Fault = func(string) error { return nil }
	}
	s := &Service{db: o.DB, events: o.Events, jobs: o.Jobs, fleet: o.Fleet, skills: o.Skills, log: o.Log, fault: o.Fault,
		workers: make(chan struct{}, o.Workers), deploys: make(chan struct{}, 4), running: map[string]*work{}, loaded: map[string]*loaded{}}
	o.Jobs.Handle(jobRun, 8, s.runJob)
	o.Jobs.Handle(jobDelete, 4, s.deleteJob)
	o.Jobs.Handle(jobPromote, 4, s.promoteJob)
	return s
}

func notFound(ref string) error {
	if r := []rune(ref); len(r) > 80 {
		ref = string(r[:80]) + "…"
	}
	return errs.New(errs.NotFound, "There is no experiment %q.", ref)
}

func account(ctx context.Context) (string, error) {
	if a := op.ActorFrom(ctx).Account; a != "" {
		return a, nil
	}
	return "", errs.New(errs.Unauthenticated, "Nobody is signed in.")
}

// asSystem is ctx with the platform itself as the actor, for work in the background.
func asSystem(ctx context.Context, account string) context.Context {
	return op.WithActor(ctx, op.System(account))
}

// loaded is the checked experiment.yaml of a skill version, with the data of the suites that were used.
type loaded struct {
	fsys fs.FS
	spec *spec.Spec

	mu   sync.Mutex
	data map[string]*suite.Data
}

// maxLoaded bounds how many skill versions are kept in memory.
const maxLoaded = 4

// load answers the experiment.yaml of a skill version.
func (s *Service) load(name, digest string) (*loaded, error) {
	s.mu.Lock()
	l := s.loaded[digest]
	s.mu.Unlock()
	if l != nil {
		return l, nil
	}
	fsys, err := s.skills.Open(digest)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "The files of the skill %s can't be read; was it deleted?", name)
	}
	file := specFile(fsys)
	raw, err := fs.ReadFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.BadField("skill", "%s has no measure to score variants by: it has no %s. Add one that names the command to run, at least one suite "+
			"(its cases, splits and metric) and the strategies in which variants may differ; aqi-predictor is an example. Which metric and cases should it be?", name, file)
	}
	if err != nil {
		return nil, err
	}
	sp, err := spec.Parse(raw)
	if err != nil {
		var e *errs.Error
		if errors.As(err, &e) {
			return nil, errs.BadField("skill", "the %s of %s is wrong: %s", file, name, e.Error())
		}
		return nil, err
	}
	l = &loaded{fsys: fsys, spec: sp, data: map[string]*suite.Data{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded[digest] == nil {
		s.recent = append(s.recent, digest)
		if len(s.recent) > maxLoaded {
			delete(s.loaded, s.recent[0])
			s.recent = s.recent[1:]
		}
	}
	s.loaded[digest] = l
	return l, nil
}

// specFile is where a skill says that its experiment is.
func specFile(fsys fs.FS) string {
	raw, err := fs.ReadFile(fsys, "SKILL.md")
	if err != nil {
		return spec.File
	}
	doc, err := skill.Parse(raw)
	if err != nil || doc.Metadata["experiment"] == "" || !fs.ValidPath(doc.Metadata["experiment"]) {
		return spec.File
	}
	return doc.Metadata["experiment"]
}

// cases answers the data of a suite.
func (l *loaded) cases(su *spec.Suite) (*suite.Data, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.data[su.Name]; d != nil {
		return d, nil
	}
	d, err := suite.Load(l.fsys, su)
	if err == nil {
		l.data[su.Name] = d
	}
	return d, err
}

// plan is what an experiment is made by.
type plan struct {
	*loaded
	suite  *spec.Suite
	metric spec.Metric
}

// plan answers what a stored experiment is made by.
func (s *Service) plan(r row) (plan, error) {
	l, err := s.load(r.SkillName, r.SkillDigest)
	if err != nil {
		return plan{}, err
	}
	su, ok := l.spec.Suite(r.Suite)
	if !ok {
		return plan{}, errs.New(errs.Internal, "the suite %s is gone", r.Suite)
	}
	m, ok := su.MetricNamed(r.Metric)
	if !ok {
		return plan{}, errs.New(errs.Internal, "the metric %s is gone", r.Metric)
	}
	return plan{l, su, m}, nil
}

func now() int64 { return db.Millis(time.Now()) }
