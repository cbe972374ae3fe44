module github.com/kontor-registry/kontor/test/faults

go 1.26
