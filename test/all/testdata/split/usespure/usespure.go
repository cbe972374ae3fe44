package usespure

import "split/pure"

func Two() int { return pure.Add(1, 1) }
