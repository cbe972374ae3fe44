// Package ecrapi is the ECR API: AWS JSON 1.1 requests in, operations of
// package registry, AWS JSON 1.1 responses out. It decides nothing; what it
// adds to the registry is the wire: types and constraints generated from the
// API model (version 2015-09-21, kept under model/), pagination tokens, and
// the one table from error codes to HTTP.
//
// Each of the model's operations is either served or answers an error that its
// model names and that says so; none pretends. Requests arrive authenticated.
package ecrapi

//go:generate go run ./gen
