package postgres

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
)

// Check says what is wrong with the address of a database, without connecting to
// it. Its errors do not show the address, whose parts cannot be told from the
// password where it cannot be read.
func Check(address string) error {
	_, err := pgx.ParseConfig(address)
	if err == nil {
		return nil
	}
	const what = "reading the address of the metadata database"
	// pgx's own text has the address; what is below it is about a setting, if the
	// address is a URL as such.
	if u, uerr := url.Parse(address); uerr == nil && u.Scheme != "" && errors.Unwrap(err) != nil {
		return fmt.Errorf("%s: %w", what, errors.Unwrap(err))
	}
	return fmt.Errorf("%s: want postgres://USER:PASSWORD@HOST/DATABASE, with characters such as / @ # %% in the password escaped as in URLs", what)
}
