package faults // want "revive: package-comments: should have a package comment"

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/kontor-registry/kontor/test/faults/old"
)

func bodyIsNotClosed() (int, error) {
	resp, err := http.Get("http://localhost") // want "bodyclose: response body must be closed"
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}

func copiesTheLoopVariable(list []int) (fs []func() int) {
	for _, x := range list {
		x := x // want "copyloopvar: "
		fs = append(fs, func() int { return x })
	}
	return fs
}

func doesNotLook(w io.Writer, b *bytes.Buffer) {
	os.Remove("x")                 // want "errcheck: error of os.Remove is not checked"
	defer os.Remove("y")           // want "errcheck: error of os.Remove is not checked"
	io.WriteString(w, "z")         // want "errcheck: error of io.WriteString is not checked"
	_ = os.Remove("it was looked") // by whoever wrote the blank
	b.WriteString("cannot fail")
	fmt.Fprintln(os.Stderr, "cannot be told to anybody")
	fmt.Fprintln(w, "a program for developers")
}

var errSome = errors.New("some")

func comparesErrors(err error) error {
	if err == errSome { // want "errorlint: comparing with == will fail on wrapped errors"
		return nil
	}
	if _, ok := err.(*os.PathError); ok { // assertions are wanted here
		return nil
	}
	return fmt.Errorf("wrapped: %v", err) // want "errorlint: non-wrapping format verb for fmt.Errorf"
}

//go:fix inline
func inlined() int { return assigns() }

func callsInlined() int { return inlined() } // want "govet: inline: Call of faults.inlined should be inlined"

func assigns() int {
	x := 1 // want "ineffassign: ineffectual assignment to x"
	x = 2
	return x
}

// A mispelled word. // want "misspell: "
func misspells() string {
	return "recieve" // want "misspell: "
}

func Exported() {} // want "revive: exported: exported function Exported should have comment or be unexported"

// Comment of another form. // want "revive: exported: comment on exported type Type should be of the form"
type Type int

func (Type) Method() {} // want "revive: exported: exported method Type.Method should have comment or be unexported"

// somebody has it: an exported variable may be explained so.
var Variable = errSome

func doesNotAskRows(ctx context.Context, db *sql.DB) (n int, err error) {
	rows, err := db.QueryContext(ctx, "SELECT 1") // want "rowserrcheck: rows.Err must be checked"
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		n++
	}
	return n, nil
}

func doesNotCloseRows(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "SELECT 1") // want "sqlclosecheck: Rows/Stmt/NamedStmt was not closed"
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	return rows.Err()
}

func checksOfStaticcheck(s []string) bool {
	old.Way()                               // want "staticcheck: SA1019: "
	if strings.Contains("a", "a") == true { // want "staticcheck: S1002: should omit comparison to bool constant"
		return false
	}
	if len(s) < 0 { // want "staticcheck: SA4024: "
		return false
	}
	return 1 == len(s) // want "staticcheck: ST1017: "
}

func ignoresTheSum() {
	old.Sum(1, 2) // want "staticcheck: SA4017: Sum doesn't have side effects and its return value is ignored"
}

func convertsToTheSame(i int) int { return int(i) } // want "unconvert: unnecessary conversion"

func isUnused() {} // want "unused: func isUnused is unused"

type fields struct {
	used   int
	unused int // want "unused: field unused is unused"
}

func spellsOut(ctx context.Context) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, "GET", "/", nil) // want "usestdlibvars: \"GET\" can be replaced by http.MethodGet"
}
