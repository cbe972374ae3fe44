package usesstarts

import "split/starts"

func Start() { starts.Start(func() {}) }
