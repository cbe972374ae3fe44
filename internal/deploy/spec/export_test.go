package spec

// ContentJSON is what s holds, as JSON, whether or not its fields are right.
func ContentJSON(s Source) ([]byte, error) {
	p := &problems{}
	v := parse(p, s)
	if len(p.errs) > 0 {
		return nil, p.errs
	}
	return v.appendJSON(nil, nil, nil)
}
