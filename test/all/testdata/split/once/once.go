package once

import "sync"

var Table = sync.OnceValue(func() int { return 1 })
