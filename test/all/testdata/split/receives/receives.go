package receives

func Wait(q <-chan int) { <-q }
