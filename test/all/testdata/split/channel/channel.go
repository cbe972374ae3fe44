package channel

type Queue chan int
