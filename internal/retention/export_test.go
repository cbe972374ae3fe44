package retention

import "github.com/kontor-registry/kontor/internal/ecr"

// Occupy has a lifecycle run of a repository under way until it is called off.
func (s *Service) Occupy(at ecr.Repo) (callOff func()) {
	s.running.Store(at.ARN(), true)
	return func() { s.running.Delete(at.ARN()) }
}
