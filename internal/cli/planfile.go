package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
)

// writePlan writes a plan file. It holds policies, so it is for the user only,
// also where a file of that name was there already.
func writePlan(name string, s plan.Set) (err error) {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the plan: %w", err)
	}
	f, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, planMode)
	if err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	defer closing(&err, f.Close)
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm() != planMode {
		if err := f.Chmod(planMode); err != nil {
			return fmt.Errorf("writing the plan: %w", err)
		}
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	return nil
}

const planMode = 0o600

// maxPlanFile bounds what is read of a plan file: a plan of 10,000
// repositories has some 60 MiB.
const maxPlanFile = 512 << 20

// readPlan reads a plan file.
func readPlan(name string) (plan.Set, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return plan.Set{}, fmt.Errorf("there is no plan %s: write it with kontor plan --output %s; a file of repositories is given with -f", name, name)
	}
	if err != nil {
		return plan.Set{}, fmt.Errorf("reading the plan: %w", err)
	}
	if info.Size() > maxPlanFile {
		return plan.Set{}, fmt.Errorf("%s has %d bytes, more than a plan of Kontor", name, info.Size())
	}
	b, err := os.ReadFile(filepath.Clean(name))
	if err != nil {
		return plan.Set{}, fmt.Errorf("reading the plan: %w", err)
	}
	return plan.ParseSet(name, b)
}
