package sqlstore

// Tables returns the names of the tables of which it is known to which area they belong.
func Tables() map[string]bool {
	named := map[string]bool{}
	for name := range tables {
		named[name] = true
	}
	return named
}
