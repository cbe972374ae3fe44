package part

func Do() { do() }
