package skill

import (
	"context"
	"maps"
	"slices"
	"strings"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
)

// ListIn is the input of List.
type ListIn struct {
	Limit int    `json:"limit,omitempty" doc:"The most skills to answer." min:"1" max:"500" default:"100"`
	After string `json:"after,omitempty" doc:"Where to go on: the \"next\" of the answer before." maxLen:"64"`
}

// ListOut is the output of List.
type ListOut struct {
	Skills []Skill `json:"skills"` // without their files and validation
	Next   string  `json:"next,omitempty"`
}

// List lists the skills of the account in the order of their making.
func (s *Service) List(ctx context.Context, in ListIn) (ListOut, error) {
	out := ListOut{Skills: []Skill{}}
	acct, err := account(ctx)
	if err != nil {
		return out, err
	}
	limit := in.Limit
	if limit == 0 {
		limit = 100
	}
	var rows []row
	err = s.db.View(ctx, func(tx *db.Tx) (err error) {
		rows, err = listRows(tx, acct, in.After, limit+1)
		return err
	})
	if err != nil {
		return out, err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		out.Next = rows[limit-1].ID
	}
	for _, r := range rows {
		k, err := r.skill()
		if err != nil {
			return out, err
		}
		k.Files, k.Validation = nil, nil
		out.Skills = append(out.Skills, k)
	}
	return out, nil
}

// CreateIn is the input of Create. The skill comes from files, archive or source, or is made of name, description and body.
type CreateIn struct {
	Name        string            `json:"name,omitempty" doc:"The name: lower-case letters, digits and single hyphens, such as pdf-tools. Left out, it is that of SKILL.md." maxLen:"64"`
	Description string            `json:"description,omitempty" doc:"What the skill does and when to use it." maxLen:"1024"`
	Body        string            `json:"body,omitempty" doc:"The instructions in Markdown, when no SKILL.md is given." maxLen:"500000"`
	Files       map[string]string `json:"files,omitempty" doc:"The files as path → text, SKILL.md among them unless name and description are given."`
	Archive     []byte            `json:"archive,omitempty" doc:"A zip of the skill's folder."`
	Source      string            `json:"source,omitempty" doc:"Where to take the skill from: a git URL with optional #ref and //path, owner/repo on GitHub, or a folder or zip on the server." maxLen:"2000"`
}

// SkillOut is one skill.
type SkillOut struct {
	Skill Skill `json:"skill"`
}

// Create makes a skill.
func (s *Service) Create(ctx context.Context, in CreateIn) (SkillOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return SkillOut{}, err
	}
	if fit := FolderName(in.Name); in.Name != fit {
		if fit == "" {
			fit = "my-skill"
		}
		return SkillOut{}, errs.BadField("name", "%q can't be a skill's name; use lower-case letters, digits and single hyphens, such as %s", in.Name, fit)
	}
	done, err := s.admit(ctx)
	if err != nil {
		return SkillOut{}, err
	}
	defer done()
	d, err := s.draft(ctx, in)
	if err != nil {
		return SkillOut{}, err
	}
	if err := d.describe(in.Description, in.Body); err != nil {
		return SkillOut{}, err
	}
	r, err := d.row("")
	if err != nil {
		return SkillOut{}, err
	}
	err = s.keep(ctx, d, func(tx *db.Tx) error {
		if err := insertSkill(tx, acct, r); err != nil {
			return err
		}
		return s.tell(tx, acct, "skill.created", r)
	})
	return s.answer(r, err)
}

// admit waits for room to hold a skill's files in memory.
func (s *Service) admit(ctx context.Context) (done func(), err error) {
	select {
	case s.imports <- struct{}{}:
		return func() { <-s.imports }, nil
	case <-ctx.Done():
		return nil, errs.Wrap(ctx.Err(), errs.Unavailable, "Too many skills are being imported at once; try again.")
	}
}

func (s *Service) answer(r row, err error) (SkillOut, error) {
	if err != nil {
		return SkillOut{}, err
	}
	k, err := r.skill()
	return SkillOut{k}, err
}

// draft assembles the files of a new skill.
func (s *Service) draft(ctx context.Context, in CreateIn) (*draft, error) {
	given := 0
	for _, on := range []bool{len(in.Files) > 0, len(in.Archive) > 0, in.Source != ""} {
		if on {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, errs.BadField("source", "give only one of files, archive and source")
	case in.Source != "":
		d, err := s.fetch(ctx, in.Source)
		if err == nil {
			d.name = in.Name
		}
		return d, err
	case len(in.Archive) > 0:
		t, folder, err := FromZip(in.Archive)
		return &draft{tree: t, folder: folder, name: in.Name}, err
	}
	d := &draft{tree: NewTree(), name: in.Name}
	for _, p := range slices.Sorted(maps.Keys(in.Files)) {
		if err := d.tree.Add(p, []byte(in.Files[p]), script([]byte(in.Files[p]))); err != nil {
			return nil, err
		}
	}
	if _, spelled := d.tree.Document(); spelled != "" {
		return d, nil
	}
	var missing []errs.Field
	for _, f := range []struct{ path, value string }{{"name", in.Name}, {"description", in.Description}} {
		if strings.TrimSpace(f.value) == "" {
			missing = append(missing, errs.Field{Path: f.path, Detail: "is needed for a skill without a SKILL.md; give it, or files, archive or source"})
		}
	}
	if err := errs.BadFields(missing); err != nil {
		return nil, err
	}
	return d, d.tree.Add(documentName, compose(in.Name, in.Description, in.Body), false)
}

func (s *Service) fetch(ctx context.Context, source string) (*draft, error) {
	src, err := ParseSource(source)
	if err != nil {
		return nil, err
	}
	in, err := s.importer.Import(ctx, src)
	if err != nil {
		return nil, err
	}
	return &draft{tree: in.Tree, folder: in.Folder, source: strings.TrimSpace(source), revision: in.Commit}, nil
}

// describe puts another description and other instructions into SKILL.md; "" leaves them.
func (d *draft) describe(description, body string) error {
	data, spelled := d.tree.Document()
	if spelled == "" {
		return nil
	}
	doc, err := Parse(data)
	if err != nil {
		return err
	}
	if description = strings.TrimSpace(description); description != "" && description != doc.Description {
		if data, err = redescribe(data, description); err != nil {
			return err
		}
	}
	if body = strings.Trim(body, "\n"); strings.TrimSpace(body) != "" && body != doc.Body {
		if data, err = rebody(data, body); err != nil {
			return err
		}
	}
	return d.tree.replace(spelled, data)
}

// replace changes the content of a file that is there.
func (t *Tree) replace(p string, data []byte) error {
	c := t.files[p]
	if t.bytes += int64(len(data) - len(c.data)); t.bytes > MaxBytes {
		return tooManyBytes()
	}
	t.files[p] = content{data, c.executable}
	return nil
}

// RefIn names a skill.
type RefIn struct {
	ID string `json:"id" doc:"The skill: its id or name." ref:"skill"`
}

// GetIn is the input of Get.
type GetIn struct {
	ID      string `json:"id" doc:"The skill: its id or name." ref:"skill"`
	Version int    `json:"version,omitempty" doc:"The version; the newest when left out." min:"1"`
}

// Get shows a skill with its files and what a strict reader thinks of its SKILL.md.
func (s *Service) Get(ctx context.Context, in GetIn) (SkillOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return SkillOut{}, err
	}
	var r row
	err = s.db.View(ctx, func(tx *db.Tx) (err error) {
		r, err = getVersion(tx, acct, in.ID, in.Version)
		return err
	})
	return s.answer(r, err)
}

// UpdateIn is the input of Update.
type UpdateIn struct {
	ID          string             `json:"id" doc:"The skill: its id or name." ref:"skill"`
	Description string             `json:"description,omitempty" doc:"Another description." maxLen:"1024"`
	Body        string             `json:"body,omitempty" doc:"Other instructions in Markdown: the part of SKILL.md after its fields." maxLen:"500000"`
	Files       map[string]*string `json:"files,omitempty" doc:"Files to add or replace as path → text; null removes a file. The others stay."`
	Archive     []byte             `json:"archive,omitempty" doc:"A zip of the skill's folder, in place of all files."`
	Source      string             `json:"source,omitempty" doc:"Where to take all files from, in place of those it has." maxLen:"2000"`
}

// Update makes a new version of a skill when its files change by the input.
func (s *Service) Update(ctx context.Context, in UpdateIn) (SkillOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return SkillOut{}, err
	}
	done, err := s.admit(ctx)
	if err != nil {
		return SkillOut{}, err
	}
	defer done()
	var old row
	err = s.db.View(ctx, func(tx *db.Tx) (err error) {
		old, err = getRow(tx, acct, in.ID)
		return err
	})
	if err != nil {
		return SkillOut{}, err
	}
	d, err := s.revise(ctx, old, in)
	if err != nil {
		return SkillOut{}, err
	}
	r, err := d.row(old.Name)
	if err != nil {
		return SkillOut{}, err
	}
	if r.Digest == old.Digest {
		return s.answer(old, nil)
	}
	r.ID, r.Version, r.Newest, r.CreatedAt = old.ID, old.Newest+1, old.Newest+1, old.CreatedAt
	err = s.keep(ctx, d, func(tx *db.Tx) error {
		if err := addVersion(tx, acct, r); err != nil {
			return err
		}
		return s.tell(tx, acct, "skill.updated", r)
	})
	return s.answer(r, err)
}

// revise assembles the files of the next version.
func (s *Service) revise(ctx context.Context, old row, in UpdateIn) (d *draft, err error) {
	switch {
	case in.Source != "" && len(in.Archive) > 0:
		return nil, errs.BadField("source", "give only one of archive and source")
	case in.Source != "":
		d, err = s.fetch(ctx, in.Source)
	case len(in.Archive) > 0:
		d = &draft{}
		d.tree, _, err = FromZip(in.Archive)
	default:
		d = &draft{source: old.Source}
		d.tree, err = s.store.Load(old.Digest)
	}
	if err != nil {
		return nil, err
	}
	if len(in.Files) > 0 {
		if d.tree, err = d.tree.edit(in.Files); err != nil {
			return nil, err
		}
	}
	return d, d.describe(in.Description, in.Body)
}

// edit is a copy of the tree with other files; nil removes one.
func (t *Tree) edit(files map[string]*string) (*Tree, error) {
	out := NewTree()
	for _, p := range t.Paths() {
		if _, changed := files[p]; changed {
			continue
		}
		if err := out.Add(p, t.files[p].data, t.files[p].executable); err != nil {
			return nil, err
		}
	}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		text := files[p]
		if text == nil {
			if !t.has(p) {
				return nil, errs.BadField("files", "there is no file %q to remove", p)
			}
			continue
		}
		if err := out.Add(p, []byte(*text), t.files[p].executable || script([]byte(*text))); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// DeleteIn is the input of Delete.
type DeleteIn struct {
	ID    string `json:"id" doc:"The skill: its id or name." ref:"skill"`
	Force bool   `json:"force,omitempty" doc:"Take the skill off the instances that have it; without this it is refused while some have it."`
}

// OKOut says that it is done.
type OKOut struct {
	OK bool `json:"ok"`
}

// Delete deletes a skill with all its versions.
func (s *Service) Delete(ctx context.Context, in DeleteIn) (OKOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return OKOut{}, err
	}
	k, err := s.Resolve(ctx, in.ID)
	if err != nil {
		return OKOut{}, err
	}
	if err := s.free(ctx, k, in.Force); err != nil {
		return OKOut{}, err
	}
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		r, err := getRow(tx, acct, k.ID)
		if err != nil {
			return err
		}
		if err := deleteRows(tx, acct, k.ID); err != nil {
			return err
		}
		return s.tell(tx, acct, "skill.deleted", r)
	})
	if err != nil {
		return OKOut{}, err
	}
	if err := s.collect(context.WithoutCancel(ctx)); err != nil {
		s.log.Error("remove the content of a deleted skill", "skill", k.ID, "error", err) // the next start tries again
	}
	return OKOut{true}, nil
}

// free sees to it that no instance has a skill that is to be deleted.
func (s *Service) free(ctx context.Context, k Skill, force bool) error {
	if s.installs == nil {
		return nil
	}
	on, err := s.installs.Installed(ctx, k.ID)
	if err != nil || len(on) == 0 {
		return err
	}
	if !force {
		names := listing(on)
		return errs.New(errs.Conflict, "The skill %s is installed on %s; uninstall it there first, or delete it with force.", k.Name, names)
	}
	return s.installs.UninstallAll(ctx, k.ID)
}

// VersionsOut is the output of Versions.
type VersionsOut struct {
	Versions []Version `json:"versions"`
}

// Versions lists the versions of a skill, the newest first.
func (s *Service) Versions(ctx context.Context, in RefIn) (VersionsOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return VersionsOut{}, err
	}
	var rows []row
	err = s.db.View(ctx, func(tx *db.Tx) error {
		r, err := getRow(tx, acct, in.ID)
		if err != nil {
			return err
		}
		rows, err = versionRows(tx, acct, r.ID)
		return err
	})
	out := VersionsOut{Versions: make([]Version, len(rows))}
	for i := range rows {
		out.Versions[i] = rows[i].version()
	}
	return out, err
}

// DiffIn is the input of Diff.
type DiffIn struct {
	ID   string `json:"id" doc:"The skill: its id or name." ref:"skill"`
	From int    `json:"from,omitempty" doc:"The older version; the one before \"to\" when left out." min:"1"`
	To   int    `json:"to,omitempty" doc:"The newer version; the newest when left out." min:"1"`
}

// DiffOut is the output of Diff. From is 0 when a first version is compared with nothing.
type DiffOut struct {
	From  int        `json:"from"`
	To    int        `json:"to"`
	Files []FileDiff `json:"files"`
}

// Diff compares two versions of a skill.
func (s *Service) Diff(ctx context.Context, in DiffIn) (DiffOut, error) {
	done, err := s.admit(ctx)
	if err != nil {
		return DiffOut{}, err
	}
	defer done()
	to, err := s.Version(ctx, in.ID, in.To)
	if err != nil {
		return DiffOut{}, err
	}
	from := Version{Version: in.From}
	if in.From == 0 {
		from.Version = to.Version - 1
	}
	a := NewTree()
	if from.Version > 0 {
		if from, err = s.Version(ctx, in.ID, from.Version); err != nil {
			return DiffOut{}, err
		}
		if a, err = s.store.Load(from.Digest); err != nil {
			return DiffOut{}, err
		}
	}
	b, err := s.store.Load(to.Digest)
	if err != nil {
		return DiffOut{}, err
	}
	return DiffOut{from.Version, to.Version, Diff(a, b)}, nil
}
