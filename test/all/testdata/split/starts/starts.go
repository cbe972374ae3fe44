package starts

func Start(f func()) { go f() }
