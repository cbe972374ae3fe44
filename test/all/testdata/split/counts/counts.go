package counts

import "sync/atomic"

var N atomic.Int64
