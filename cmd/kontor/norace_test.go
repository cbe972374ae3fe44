//go:build !race

package main

const racing = false // with the race detector
