package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Check says what is wrong with the address of a database, without connecting to
// it. Its errors do not show the password.
func Check(url string) error {
	if _, err := pgx.ParseConfig(url); err != nil {
		return fmt.Errorf("reading the address of the metadata database: %w", err)
	}
	return nil
}
