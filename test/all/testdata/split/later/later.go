package later

import "time"

func Later(f func()) { time.AfterFunc(time.Second, f) }
