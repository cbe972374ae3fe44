package registry

// HoldAtMost bounds the bytes that uploads without rows may have received, in place of
// 32 MiB.
func (r *Registry) HoldAtMost(n int64) {
	r.begun.mu.Lock()
	defer r.begun.mu.Unlock()
	r.begun.most = n
}
