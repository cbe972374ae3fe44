package admincmd_test

import (
	"testing"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/datadir"
)

func TestAdminSchema(t *testing.T) {
	s := clitest.New(t)
	s.Want(s.Run("admin", "schema", "status", "--data", "registry"), 1, "there is no database yet")
	d, err := datadir.Open(t.Context(), "registry")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	s.Want(s.Run("admin", "schema", "status", "--data", "registry"), 0, "The schema is up to date.\n")
	s.Want(s.Run("admin", "schema", "up", "--data", "registry", "--json"), 0, `"pending": []`)
	s.Want(s.Run("admin", "schema", "status", "--data", "registry", "--config", "x"), 2, "cannot be combined")
}

func TestAdminMigrateAndBackupUsage(t *testing.T) {
	s := clitest.New(t)
	s.Want(s.Run("admin", "migrate"), 2, "give --from and --to")
	s.Want(s.Run("admin", "migrate", "--from", "a", "--to", "b", "--finish", "--cancel"), 2, "give one of --check, --finish and --cancel")
	s.Want(s.Run("admin", "migrate", "--from", "a", "--to", "b", "--workers", "0"), 2, "want 1 to 256")
	s.Want(s.Run("admin", "migrate", "--from", "a.yaml", "--to", "b.yaml"), 1, "--from: open a.yaml")
	s.Want(s.Run("admin", "backup"), 2, "give --to")
	s.Want(s.Run("admin", "backup", "--data", "registry", "--to", "backup"), 1, "there is no database to save")
}
