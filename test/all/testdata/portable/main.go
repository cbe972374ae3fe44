package main

import "portable/part"

func main() { part.Do() }
