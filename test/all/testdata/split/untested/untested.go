package untested

func Start(f func()) { go f() }
