package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/kontor-registry/kontor/internal/store/meta/transfer"
)

// Rows opens the database at an address to copy what is in it, next to the servers
// that may use it. It must have the schema of this program.
func Rows(ctx context.Context, address string) (*transfer.Database, error) {
	pc, err := parse(address)
	if err != nil {
		return nil, err
	}
	if err := adapt(ctx, pc); err != nil {
		return nil, fmt.Errorf("opening the metadata database %s on %s: %w", pc.Database, pc.Host, err)
	}
	return &transfer.Database{DB: stdlib.OpenDB(*pc), Dialect: rowsDialect()}, nil
}

// movedCode is the SQLSTATE of a fenced database's refusals.
const movedCode = "KM001"

// fenced counts the fences.
const fenced = `SELECT COUNT(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
	WHERE t.tgname = 'moved' AND c.relnamespace = current_schema()::regnamespace`

func rowsDialect() transfer.Dialect {
	return transfer.Dialect{
		Name:      "PostgreSQL",
		Describe:  describe,
		BeginRead: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		// update_gate is locked by every transaction of a server that writes.
		BeginWrite: "BEGIN; SET LOCAL lock_timeout = '5s'; LOCK TABLE update_gate IN EXCLUSIVE MODE",
		Insert:     copyRows,
		Counter: func(ctx context.Context, c *sql.Conn, t transfer.Table) (last int64, err error) {
			err = c.QueryRowContext(ctx, `SELECT COALESCE(s.last_value, 0) FROM pg_sequences s
				WHERE format('%I.%I', s.schemaname, s.sequencename)::regclass = pg_get_serial_sequence($1, $2)::regclass`, t.Name, t.Counter).Scan(&last)
			return last, err
		},
		SetCounter: func(ctx context.Context, c *sql.Conn, t transfer.Table, last int64) error {
			if last == 0 {
				return nil
			}
			_, err := c.ExecContext(ctx, "SELECT setval(pg_get_serial_sequence($1, $2), $3)", t.Name, t.Counter, last)
			return err
		},
		Fence:  fence,
		Lift:   lift,
		Fenced: fenced,
		FencedAs: `SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
			WHERE t.tgname = 'moved' AND c.relnamespace = current_schema()::regnamespace AND strpos(p.prosrc, '/* ' || $1 || ' */') > 0) THEN 1 ELSE 0 END`,
		Busy: lockTimeout,
	}
}

// fence has the id in a comment of the function.
func fence(tables []transfer.Table, id string) []string {
	all := []string{fmt.Sprintf(`CREATE OR REPLACE FUNCTION refuse_moved() RETURNS TRIGGER LANGUAGE plpgsql AS $$
		BEGIN /* %s */ RAISE EXCEPTION '%s' USING ERRCODE = '%s'; END $$`, id, transfer.Refusal, movedCode)}
	for _, t := range tables {
		all = append(all, "DROP TRIGGER IF EXISTS moved ON "+t.Name,
			"CREATE TRIGGER moved BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON "+t.Name+" EXECUTE FUNCTION refuse_moved()")
	}
	return all
}

func lift(tables []transfer.Table) (all []string) {
	for _, t := range tables {
		all = append(all, "DROP TRIGGER IF EXISTS moved ON "+t.Name)
	}
	return append(all, "DROP FUNCTION IF EXISTS refuse_moved()")
}

// Tables of the schema's own workings are not copied.
const describeText = `SELECT c.relname,
	ARRAY(SELECT a.attname || ' ' || format_type(a.atttypid, NULL) FROM pg_attribute a
		WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname COLLATE "C")::TEXT[],
	ARRAY(SELECT a.attname FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, n), pg_attribute a
		WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum ORDER BY k.n)::TEXT[],
	ARRAY(SELECT DISTINCT f.confrelid::regclass::TEXT FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f')::TEXT[],
	COALESCE((SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity <> ''), '')
	FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace
	AND c.relname NOT LIKE 'goose\_%' AND c.relname NOT IN ('stamps', 'update_gate')`

func describe(ctx context.Context, c *sql.Conn) (tables []transfer.Table, err error) {
	err = raw(c, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, describeText)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var t transfer.Table
			var columns []string
			if err := rows.Scan(&t.Name, &columns, &t.Key, &t.Parents, &t.Counter); err != nil {
				return err
			}
			for _, text := range columns {
				name, kind, _ := strings.Cut(text, " ")
				k, known := map[string]transfer.Kind{"bigint": transfer.Integer, "integer": transfer.Integer, "smallint": transfer.Integer,
					"text": transfer.Text, "bytea": transfer.Bytes, "boolean": transfer.Bool, "double precision": transfer.Real}[kind]
				if !known {
					return fmt.Errorf("column %s of table %s has the unknown type %q", name, t.Name, kind)
				}
				t.Columns = append(t.Columns, transfer.Column{Name: name, Kind: k})
			}
			tables = append(tables, t)
		}
		return rows.Err()
	})
	return tables, err
}

func raw(c *sql.Conn, f func(*pgx.Conn) error) error {
	return c.Raw(func(driverConn any) error {
		conn, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a connection of another driver: %T", driverConn)
		}
		return f(conn.Conn())
	})
}

func copyRows(ctx context.Context, c *sql.Conn, t transfer.Table, rows iter.Seq2[[]any, error]) error {
	var names []string
	for _, column := range t.Columns {
		names = append(names, column.Name)
	}
	next, stop := iter.Pull2(rows)
	defer stop()
	return raw(c, func(conn *pgx.Conn) error {
		_, err := conn.CopyFrom(ctx, pgx.Identifier{t.Name}, names, pgx.CopyFromFunc(func() ([]any, error) {
			row, err, more := next()
			if !more || err != nil {
				return nil, err
			}
			for i, column := range t.Columns {
				if n, ok := row[i].(int64); ok && column.Kind == transfer.Bool {
					row[i] = n != 0
				}
			}
			return row, nil
		}))
		return err
	})
}
