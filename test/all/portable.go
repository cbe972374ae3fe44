package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// others are platforms of a release that no step builds for. Types are checked
// for them instead, which finds what does not compile there.
var others = []string{"windows/amd64", "darwin/arm64"}

// portable checks the types of the packages of our module that package pkg in
// dir is made of, for a platform. It returns how many these are. Of other
// people's it reads the declarations only, so that it takes a fraction of the
// time of a build.
func portable(ctx context.Context, dir, pkg, platform string) (int, error) {
	goos, arch, _ := strings.Cut(platform, "/")
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,ImportPath,GoFiles,ImportMap,Module", pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+arch, "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%v: %w\n%s", cmd, err, &stderr)
	}
	ours := 0
	var faults []error
	done := importer{"unsafe": types.Unsafe}
	fset := token.NewFileSet()
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; { // in the order of imports
		var p struct {
			Dir, ImportPath string
			GoFiles         []string
			ImportMap       map[string]string
			Module          *struct{ Main bool }
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, err
		}
		if p.ImportPath == "unsafe" {
			continue
		}
		mine := p.Module != nil && p.Module.Main
		var files []*ast.File
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return 0, err
			}
			files = append(files, file)
		}
		config := types.Config{
			Importer:         mapped{done, p.ImportMap},
			Sizes:            types.SizesFor("gc", arch),
			IgnoreFuncBodies: !mine,
			Error: func(err error) {
				if mine {
					faults = append(faults, err)
				}
			},
		}
		if done[p.ImportPath], err = config.Check(p.ImportPath, fset, files, nil); err != nil && !mine {
			return 0, fmt.Errorf("checking %s: %w", p.ImportPath, err)
		}
		if mine {
			ours++
		}
	}
	return ours, errors.Join(faults...)
}

// importer holds the packages that were checked, by their path.
type importer map[string]*types.Package

// mapped finds them by the paths that a package's files import.
type mapped struct {
	importer
	paths map[string]string
}

func (m mapped) Import(path string) (*types.Package, error) {
	if to := m.paths[path]; to != "" {
		path = to
	}
	p := m.importer[path]
	if p == nil {
		return nil, fmt.Errorf("package %s was not checked before", path)
	}
	return p, nil
}
