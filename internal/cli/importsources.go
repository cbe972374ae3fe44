package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/foreign"
	"github.com/kontor-registry/kontor/internal/deploy/importer"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// importSources makes a file of what the files of other tools declare.
func importSources(e *command.Env, o importOptions, names []string, language lang.Language) (importer.File, error) {
	if err := o.checkGlobs(); err != nil {
		return importer.File{}, err
	}
	if o.Data != "" {
		return importer.File{}, command.Usagef("--data cannot be combined with %s: choose what to read", names[0])
	}
	opts := importer.Options{Language: language, Exact: o.exact, Stack: o.stack, NewStack: starterStack(), Modules: map[ecr.RepositoryName]string{}}
	target, known, err := o.importTarget(e, &opts)
	if err != nil {
		return importer.File{}, err
	}
	sources, err := foreignSources(e, names)
	if err != nil {
		return importer.File{}, err
	}
	var in foreign.Options
	if known {
		in.Registry = target.Registry
	}
	found, err := foreign.Read(sources, in)
	if err != nil {
		return importer.File{}, err
	}
	var notices []string
	for _, f := range found.Findings {
		notices = append(notices, f.String())
	}
	if !known {
		if target, known, err = registryOf(found); err != nil {
			return importer.File{}, err
		}
	}
	seen := state.Observed{Target: target, Repositories: map[ecr.RepositoryName]state.Repository{}}
	for _, r := range found.Repositories {
		switch {
		case !o.wants(r.Name):
		case r.Account != "" && r.Account != target.Registry.Account, r.Region != "" && r.Region != target.Registry.Region:
			notices = append(notices, fmt.Sprintf("%s: repository %s: left out: it is in account %s, region %s", r.Origins.Repository,
				r.Name, cmp.Or(string(r.Account), "?"), cmp.Or(string(r.Region), "?")))
		default:
			if r.Module != "" {
				opts.Modules[r.Name] = r.Module + ", " + r.Origins.Repository.String()
			}
			seen.Repositories[r.Name] = r.Repository
		}
	}
	seen.Settings = settingsOf(found, target, len(o.repositories) == 0, func(at state.Position, format string, args ...any) {
		notices = append(notices, fmt.Sprintf("%s: ", at)+fmt.Sprintf(format, args...))
	})
	if !known {
		notices = append(notices, "the files do not say which registry they are for: pass --account and --region, or add registries to the file")
	}
	e.Notices(notices)
	f, err := writeImport(seen, opts)
	if err == nil && f.Repositories+f.Settings == 0 {
		return f, fmt.Errorf("nothing to import: no repository of %s can be read", words.And(names))
	}
	return f, err
}

// settingsOf are the templates, rules and replication that files declare for the registry of target.
// With all false nothing but repositories is wanted.
func settingsOf(found foreign.Found, target state.Target, all bool, notef func(at state.Position, format string, args ...any)) state.Settings {
	out := state.Settings{Templates: map[string]state.Template{}, Upstreams: map[string]state.Upstream{}}
	if !all {
		return out
	}
	here := func(what string, at state.Position, account ecr.AccountID, region ecr.Region, twice bool) bool {
		switch {
		case account != "" && account != target.Registry.Account, region != "" && region != target.Registry.Region:
			notef(at, "%s: left out: it is in account %s, region %s", what, cmp.Or(string(account), "?"), cmp.Or(string(region), "?"))
			return false
		case twice:
			notef(at, "%s: left out: it is declared twice", what)
			return false
		}
		return true
	}
	for _, t := range found.Templates {
		if _, twice := out.Templates[t.Prefix]; here("template "+state.Below(t.Prefix), t.At, t.Account, t.Region, twice) {
			out.Templates[t.Prefix] = t.Template
		}
	}
	for _, u := range found.Upstreams {
		if _, twice := out.Upstreams[u.Prefix]; here("upstream "+state.Below(u.Prefix), u.At, u.Account, u.Region, twice) {
			out.Upstreams[u.Prefix] = u.Upstream
		}
	}
	for _, r := range found.Replications {
		if here("replication", r.At, r.Account, r.Region, out.Replication != nil) {
			out.Replication = &r.Replication
		}
	}
	return out
}

// importTarget is the registry that the flags name; known is false when they name
// none, and it is the local one.
func (o *importOptions) importTarget(e *command.Env, opts *importer.Options) (target state.Target, known bool, err error) {
	f, err := o.file(e, opts)
	if err != nil {
		return state.Target{}, false, err
	}
	if f == nil {
		return state.Target{Name: "local", Registry: ecr.LocalRegistry(), Local: true}, false, nil
	}
	var names []string
	if o.Target != "" {
		names = []string{o.Target}
	}
	targets, err := run.Choose(f.Desired(ecr.LocalRegistry()).Targets, names)
	switch {
	case err != nil:
		return state.Target{}, false, err
	case len(targets) > 1:
		return state.Target{}, false, command.Usagef("the file has %d registries: choose one with --target", len(targets))
	}
	return targets[0], true, nil
}

// registryOf is the only registry of repositories, or of replications where there are none.
func registryOf(all foreign.Found) (state.Target, bool, error) {
	var found []ecr.RegistryID
	add := func(account ecr.AccountID, region ecr.Region) {
		if id := (ecr.RegistryID{Account: account, Region: region}); account != "" && region != "" && !slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	for _, r := range all.Repositories {
		add(r.Account, r.Region)
	}
	if len(all.Repositories) == 0 {
		for _, r := range all.Replications {
			add(r.Account, r.Region)
		}
	}
	switch len(found) {
	case 0:
		return state.Target{Name: "local", Registry: ecr.LocalRegistry(), Local: true}, false, nil
	case 1:
		return state.Target{Name: string(found[0].Region), Registry: found[0]}, true, nil
	}
	var ids []string
	for _, id := range found {
		ids = append(ids, fmt.Sprintf("account %s in %s", id.Account, id.Region))
	}
	return state.Target{}, false, fmt.Errorf("the files declare repositories of several registries, %s: choose one with --account and --region", words.And(ids))
}

// foreignSources reads the files and folders that arguments name, and stdin for -.
func foreignSources(e *command.Env, names []string) ([]lang.Source, error) {
	var out []lang.Source
	read := func(name string) error {
		b, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, errors.Unwrap(err))
		}
		out = append(out, lang.Source{Name: name, Data: b})
		return nil
	}
	for _, name := range names {
		if name == "-" {
			b, err := io.ReadAll(e.Stdin)
			if err != nil {
				return nil, fmt.Errorf("reading stdin: %w", err)
			}
			out = append(out, lang.Source{Name: "stdin", Data: b})
			continue
		}
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s does not exist", name)
		case err == nil && info.IsDir():
			inside, err := terraformFiles(name)
			if err != nil {
				return nil, err
			}
			for _, n := range inside {
				if err := read(n); err != nil {
					return nil, err
				}
			}
			continue
		}
		if err := read(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// terraformFiles are the files of a folder that Terraform reads: its code, and the
// variables that it takes without being told.
func terraformFiles(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder) // in byte order
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", folder, errors.Unwrap(err))
	}
	var code, variables []string
	for _, entry := range entries {
		name := entry.Name()
		path := filepath.Join(folder, name)
		switch {
		case entry.IsDir(), strings.HasPrefix(name, "."):
		case slices.Contains(foreign.Endings(), filepath.Ext(name)):
			code = append(code, path)
		case name == "terraform.tfvars", name == "terraform.tfvars.json":
			variables = slices.Insert(variables, 0, path) // the others win
		case strings.HasSuffix(name, ".auto.tfvars"), strings.HasSuffix(name, ".auto.tfvars.json"):
			variables = append(variables, path)
		}
	}
	if len(code) == 0 {
		return nil, fmt.Errorf("the folder %s has no Terraform code (%s)", folder, strings.Join(foreign.Endings(), ", "))
	}
	return append(code, variables...), nil
}
