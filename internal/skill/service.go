package skill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
)

// Requires is what a skill says it needs. Nothing is granted by it.
type Requires struct {
	// Secrets are names of secrets: the words of "requires-secrets" in the metadata of SKILL.md.
	Secrets       []string `json:"secrets"`
	Compatibility string   `json:"compatibility,omitempty"`
}

// Skill is a skill with one of its versions.
type Skill struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Version     int       `json:"version"`
	Digest      string    `json:"digest"`
	Requires    Requires  `json:"requires"`
	Files       []File    `json:"files,omitempty"`
	Warnings    []string  `json:"warnings"`
	Validation  *Verdict  `json:"validation,omitempty"`
	Source      string    `json:"source"`             // where the version came from, as it was given; "" when its files were
	Revision    string    `json:"revision,omitempty"` // the commit of a git source
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

// Version is an immutable version of a skill.
type Version struct {
	Skill       string    `json:"skill"` // id
	Name        string    `json:"name"`
	Version     int       `json:"version"`
	Digest      string    `json:"digest"`
	Description string    `json:"description"`
	Source      string    `json:"source"`
	Revision    string    `json:"revision,omitempty"`
	Newest      bool      `json:"newest"`
	CreatedAt   time.Time `json:"createdAt"`
}

// Installs is what the service needs to know of where skills are installed. Methods take the actor from the context.
type Installs interface {
	// Installed lists the names of the instances that have a skill.
	Installed(ctx context.Context, skill string) ([]string, error)
	// UninstallAll takes a skill off every instance.
	UninstallAll(ctx context.Context, skill string) error
}

// Options are what a Service is made of. DB, Events and Dir are needed.
type Options struct {
	DB       *db.DB
	Events   *event.Log
	Dir      string // the folder of the store, DATA/skills
	Importer *Importer
	Bundled  fs.FS // the skills that come with the program, one folder each; may be nil
	Log      *slog.Logger
}

// Service keeps the skills of all accounts. It is safe for concurrent use.
type Service struct {
	db       *db.DB
	events   *event.Log
	store    *Store
	importer Importer
	bundled  func() ([]seed, error)
	log      *slog.Logger
	installs Installs

	imports chan struct{} // bounds how many imports hold their files in memory
	// storing is held for reading from the storing of content to the commit of the version that has it, and for writing by
	// the removal of content that no version has.
	storing sync.RWMutex
}

// New opens the store and makes the service.
func New(ctx context.Context, o Options) (*Service, error) {
	store, err := OpenStore(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Service{db: o.DB, events: o.Events, store: store, log: o.Log, imports: make(chan struct{}, 4)}
	if o.Importer != nil {
		s.importer = *o.Importer
	}
	if s.importer.Temp == "" {
		s.importer.Temp = o.Dir
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.bundled = sync.OnceValues(func() ([]seed, error) { return readSeeds(o.Bundled) })
	if err := s.collect(ctx); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return s, nil
}

// SetInstalls tells the service who knows where skills are installed. It MUST be called before operations are.
func (s *Service) SetInstalls(i Installs) { s.installs = i }

// Close closes the store.
func (s *Service) Close() error { return s.store.Close() }

// collect removes content that no version has any more.
func (s *Service) collect(ctx context.Context) error {
	s.storing.Lock()
	defer s.storing.Unlock()
	var digests []string
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		digests, err = usedDigests(tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("skills: %w", err)
	}
	return s.store.Retain(digests)
}

func account(ctx context.Context) (string, error) {
	a := op.ActorFrom(ctx).Account
	if a == "" {
		return "", errs.New(errs.Unauthenticated, "Nobody is signed in.")
	}
	return a, nil
}

// Resolve finds a skill of the actor's account by id or name, with its newest version.
func (s *Service) Resolve(ctx context.Context, ref string) (Skill, error) {
	acct, err := account(ctx)
	if err != nil {
		return Skill{}, err
	}
	var r row
	err = s.db.View(ctx, func(tx *db.Tx) (err error) {
		r, err = getRow(tx, acct, ref)
		return err
	})
	if err != nil {
		return Skill{}, err
	}
	return r.skill()
}

// Version finds a version of a skill of the actor's account; n = 0 is the newest.
func (s *Service) Version(ctx context.Context, ref string, n int) (Version, error) {
	acct, err := account(ctx)
	if err != nil {
		return Version{}, err
	}
	var r row
	err = s.db.View(ctx, func(tx *db.Tx) (err error) {
		r, err = getVersion(tx, acct, ref, n)
		return err
	})
	if err != nil {
		return Version{}, err
	}
	return r.version(), nil
}

func (r *row) version() Version {
	return Version{Skill: r.ID, Name: r.Name, Version: r.Version, Digest: r.Digest, Description: r.Description, Source: r.Source,
		Revision: r.Revision, Newest: r.Version == r.Newest, CreatedAt: db.Time(r.MadeAt)}
}

// Open answers the files of a version by its digest. Who may see them is the caller's to decide.
func (s *Service) Open(digest string) (fs.FS, error) { return s.store.Open(digest) }

// Place puts the files of a version into the folder name of dir, without those that a glob of withhold matches: see
// Store.Place.
func (s *Service) Place(_ context.Context, digest string, dir *os.Root, name string, withhold []string) error {
	return s.store.Place(digest, dir, name, withhold)
}

// Remove takes a placed skill out of dir.
func (s *Service) Remove(dir *os.Root, name string) error { return s.store.Remove(dir, name) }

// draft is a version before it is stored.
type draft struct {
	tree     *Tree
	name     string // asked for by the caller, or ""
	folder   string // at the source, or ""
	source   string
	revision string
}

// row reads what the database keeps of a draft. name is that of the skill when it is there already, or "".
func (d *draft) row(name string) (row, error) {
	data, spelled := d.tree.Document()
	if spelled == "" {
		return row{}, errs.BadField("files", "there is no SKILL.md among them; add one, or give name and description")
	}
	doc, err := Parse(data)
	if err != nil {
		return row{}, err
	}
	warnings := append([]string{}, doc.Warnings...)
	if spelled != documentName {
		warnings = append(warnings, fmt.Sprintf("The file is named %s; rename it to SKILL.md, because many agents find no other spelling.", spelled))
	}
	if name == "" {
		name = d.name
	}
	if name == "" {
		if name = FolderName(doc.Name); name == "" {
			name = FolderName(d.folder)
		}
		if name == "" {
			return row{}, errs.BadField("name", "the skill has none; give one here, or add a line \"name: …\" to SKILL.md")
		}
	}
	switch {
	case doc.Name == "":
		warnings = append(warnings, fmt.Sprintf("SKILL.md has no name; add the line \"name: %s\".", name))
	case doc.Name != name:
		warnings = append(warnings, fmt.Sprintf("SKILL.md says the name %q, but the skill is kept and installed as %s; make the line \"name: %s\".", doc.Name, name, name))
	}
	files, digest := d.tree.Manifest()
	now := db.Millis(time.Now())
	r := row{ID: id.New(id.Skill), Name: name, Version: 1, Newest: 1, Digest: digest, Description: doc.Description, Source: d.source, Revision: d.revision,
		CreatedAt: now, UpdatedAt: now, MadeAt: now}
	requires := Requires{Secrets: doc.SecretNames(), Compatibility: doc.Compatibility}
	if requires.Secrets == nil {
		requires.Secrets = []string{}
	}
	return r, r.encode(requires, files, warnings, Validate(data, spelled, name))
}

// keep stores a draft's content and then has commit write the row, so that no row is without its content.
func (s *Service) keep(ctx context.Context, d *draft, commit func(tx *db.Tx) error) error {
	s.storing.RLock()
	defer s.storing.RUnlock()
	if _, _, err := s.store.Put(d.tree); err != nil {
		return err
	}
	return s.db.Update(ctx, commit)
}

// stream is where the events of skills are.
const stream = "skills"

// tell records an event about a skill.
func (s *Service) tell(tx *db.Tx, account, what string, r row) error {
	_, err := s.events.Append(tx, account, stream, what, map[string]any{"id": r.ID, "name": r.Name, "version": r.Version, "digest": r.Digest})
	return err
}
