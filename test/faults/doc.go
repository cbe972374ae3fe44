// Package faults runs the real binary under everything that goes wrong with machines,
// databases, networks and object stores, while clients push, pull and delete, and then
// decides from what the clients saw whether the registry was one registry all the time:
//
//	go run ./test/all -only faults                                      # the short form
//	go test -C test/faults . -run TestReplicas -for 60m -timeout 90m -v # the long form
//
// It is made of tests only. TestReplicas is about many servers on PostgreSQL and S3,
// TestOneMachine about one on SQLite and a folder, TestPowerLoss, TestFullAtEveryWrite
// and TestReadErrors about the disk of that one. docs/design/0042 says how it decides.
package faults
