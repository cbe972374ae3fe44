package signing

// Forgetful keeps nothing that was verified for later operations.
func (s *Service) Forgetful() { s.verifier.known.Max, s.verifier.inert.Max = 0, 0 }
