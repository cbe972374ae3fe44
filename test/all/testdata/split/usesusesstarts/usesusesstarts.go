package usesusesstarts

import "split/usesstarts"

func Start() { usesstarts.Start() }
