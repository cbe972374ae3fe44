//go:build race

package main

const racing = true // with the race detector
