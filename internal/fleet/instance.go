package fleet

import (
	"fmt"
	"hash/fnv"
	"time"

	"yardmaster/internal/db"
)

// The statuses of an instance; the package documentation says what they mean and what leads out of each.
const (
	Provisioning = "provisioning"
	Active       = "active"
	Inactive     = "inactive"
	Suspended    = "suspended"
	Failed       = "error"
	Deleting     = "deleting"
)

// exits lists for each status the statuses that may follow it. Deleting ends with the instance.
var exits = map[string][]string{
	Provisioning: {Provisioning, Active, Failed, Inactive, Suspended, Deleting},
	Active:       {Provisioning, Failed, Inactive, Suspended, Deleting},
	Inactive:     {Provisioning, Suspended, Deleting},
	Suspended:    {Provisioning, Inactive, Deleting},
	Failed:       {Provisioning, Inactive, Deleting},
	Deleting:     {},
}

// The kinds of instance.
const (
	Prebuilt = "prebuilt" // its agent is set up by the platform
	Blank    = "blank"    // nothing is set up
)

// Instance is an instance as its owner sees it.
type Instance struct {
	ID             string            `json:"id"`
	Name           string            `json:"name"`
	Status         string            `json:"status"`
	Kind           string            `json:"kind"`
	ImageTag       string            `json:"imageTag"`
	AvatarURL      string            `json:"avatarUrl"`
	FQDN           string            `json:"fqdn"`
	Labels         map[string]string `json:"labels"`
	Driver         string            `json:"driver"`
	Isolation      string            `json:"isolation"` // what the driver enforces, in short
	Restarts       int               `json:"restarts"`  // how many were asked for
	Skills         []InstalledSkill  `json:"skills"`
	CheckpointRepo string            `json:"checkpointRepo,omitempty"`
	ClonedFrom     string            `json:"clonedFrom,omitempty"` // id
	Experiment     string            `json:"experiment,omitempty"` // id
	CreatedAt      time.Time         `json:"createdAt"`
	UpdatedAt      time.Time         `json:"updatedAt"`
	StartedAt      time.Time         `json:"startedAt,omitzero"`
	LastError      string            `json:"lastError,omitempty"`
}

// InstalledSkill is a skill version in an instance. Its files are at /skills/NAME inside.
type InstalledSkill struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version int    `json:"version"`
	Digest  string `json:"digest"`
}

// view makes of a row what its owner sees.
func (s *Service) view(r row, skills []skillRow) Instance {
	in := Instance{
		ID: r.ID, Name: r.Name, Status: r.Status, Kind: r.Kind, ImageTag: "host",
		AvatarURL: avatar(r.ID), FQDN: hostname(r.Name) + "." + s.domain,
		Labels: r.labels(), Driver: r.Driver, Isolation: r.Isolation, Restarts: r.Restarts, Skills: []InstalledSkill{},
		CheckpointRepo: r.Checkpoint, ClonedFrom: r.Source, Experiment: r.Experiment,
		CreatedAt: db.Time(r.CreatedAt), UpdatedAt: db.Time(r.UpdatedAt), StartedAt: db.Time(r.StartedAt), LastError: r.LastError,
	}
	for _, k := range skills {
		in.Skills = append(in.Skills, InstalledSkill{ID: k.Skill, Name: k.Name, Version: k.Version, Digest: k.Digest})
	}
	return in
}

// avatar is a small picture, always the same for an id, that needs no further request.
func avatar(id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return fmt.Sprintf("data:image/svg+xml,%%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 2 2'%%3E%%3Ccircle cx='1' cy='1' r='1' fill='hsl(%d,60%%25,45%%25)'/%%3E%%3C/svg%%3E", h.Sum32()%360)
}
