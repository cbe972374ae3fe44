package usesmutex

import "split/mutex"

func Count() {
	var c mutex.Counter
	c.Add()
}
