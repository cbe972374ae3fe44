package meta

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Figures are what a repository had when it was counted. Lists of repositories are sorted
// by them; what is said of a repository is read when it is asked for.
type Figures struct {
	Repository RepositoryID
	Images     int64
	SizeBytes  int64     // of the blobs that its images refer to, each once
	PushedAt   time.Time // of the newest image; zero for none
	PulledAt   time.Time // the last time; zero for never
	CountedAt  time.Time // zero for not yet
}

// Figure is one of Figures, or the name of the repository.
type Figure string

// What repositories can be sorted by.
const (
	FigureName   Figure = "name"
	FigureImages Figure = "images"
	FigureSize   Figure = "bytes"
	FigurePushed Figure = "pushed"
	FigurePulled Figure = "pulled"
)

// FigureKey is a place in the order of a FigureQuery; zero is before the first one.
type FigureKey struct {
	Value      int64 // of the figure, a time in microseconds
	Repository RepositoryID
	Name       ecr.RepositoryName // with FigureName, instead of both
}

// FigureQuery selects the repositories of a registry, in the order of a figure and, where
// that is the same, of their ids.
type FigureQuery struct {
	Registry ecr.RegistryID
	By       Figure
	Backward bool // the greatest first
	After    FigureKey
}

// CountedRepository is a repository in the order of a FigureQuery.
type CountedRepository struct {
	Repository
	Key       FigureKey
	CountedAt time.Time // of the figure; zero for not yet
}

// StaleFigures says which repositories are to be counted again.
type StaleFigures struct {
	// Before: those that were counted before.
	Before time.Time
	// Slack: those with a tag that was set later than Slack before they were counted.
	// Whoever sets a tag says so when the transaction ends, some time later.
	Slack time.Duration
}

// FigureReader reads the figures of repositories.
type FigureReader interface {
	// StaleFigures returns at most limit repositories that are to be counted again, in
	// order of their ids, after the id after.
	StaleFigures(ctx context.Context, q StaleFigures, after RepositoryID, limit int) ([]RepositoryID, error)
	// CountFigures counts a repository; CountedAt is left zero. What it costs grows with
	// the images and blobs of the repository.
	CountFigures(ctx context.Context, repo RepositoryID) (Figures, error)
	// ByFigure returns at most limit repositories in the order of q. Those that were
	// never counted have zero figures.
	ByFigure(ctx context.Context, q FigureQuery, limit int) ([]CountedRepository, error)
}

// FigureWriter changes the figures of repositories.
type FigureWriter interface {
	// PutFigures replaces the figures of repositories; those that are gone are passed over.
	PutFigures(ctx context.Context, all []Figures) error
}
