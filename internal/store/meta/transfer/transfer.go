// Package transfer copies the metadata of a registry from one database to another, of
// the same kind or of the other one.
//
// It guarantees that the copy is one moment of the source; that the destination has
// all of it or nothing; and that before it has it, each table was read back and has
// the same rows. A database that was fenced refuses writes, of running servers too,
// until the fence is lifted. It leaves out what the rows mean.
//
// The packages sqlite and postgres open databases for it.
package transfer

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"iter"
	"slices"
	"strings"
)

// Kind is how a column's values are kept.
type Kind int

// Kinds of columns.
const (
	Integer Kind = iota // int64
	Text                // string
	Bytes               // []byte
	Bool                // int64 in SQLite, bool in PostgreSQL
	Real                // float64
)

// Column is one of a table.
type Column struct {
	Name string
	Kind Kind
}

// Table is one of a database.
type Table struct {
	Name    string
	Columns []Column // in byte order of their names
	Key     []string // the columns of the primary key, in its order
	Parents []string // the tables that its foreign keys refer to
	// Counter is the column whose values the database draws, "" for none.
	Counter string
}

// Dialect is what differs between databases.
type Dialect struct {
	// Name is that of the database program.
	Name string
	// Describe lists all tables of the registry, in any order.
	Describe func(ctx context.Context, c *sql.Conn) ([]Table, error)
	// BeginRead opens a transaction that sees one moment, BeginWrite one that keeps
	// other writers out.
	BeginRead, BeginWrite string
	// Insert adds rows, whose values are in the order of the table's columns and as
	// Copy yields them: int64, string, []byte, float64 or nil.
	Insert func(ctx context.Context, c *sql.Conn, t Table, rows iter.Seq2[[]any, error]) error
	// Counter is the last value that was drawn for the table's Counter column, 0 for
	// none. SetCounter makes it that.
	Counter    func(ctx context.Context, c *sql.Conn, t Table) (int64, error)
	SetCounter func(ctx context.Context, c *sql.Conn, t Table, last int64) error
	// Fence are statements that make the database refuse writes to the tables, Lift
	// those that undo them; both may be run again. A fence has an id, of letters and
	// digits, and takes the place of an earlier one. Fenced is a query for the number of
	// fences, FencedAs for whether there is one with the id $1, as 0 or 1.
	Fence            func(tables []Table, id string) []string
	Lift             func(tables []Table) []string
	Fenced, FencedAs string
	// Busy reports whether a statement failed because others hold locks, so that it
	// may succeed when it is tried again.
	Busy func(err error) bool
}

// Database is one end of a transfer.
type Database struct {
	Dialect Dialect
	DB      *sql.DB
}

// Close closes it.
func (d *Database) Close() error { return d.DB.Close() }

// ErrNotEmpty: the destination has rows of a registry.
var ErrNotEmpty = errors.New("the database has data already")

// Sum is what a table has.
type Sum struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	// Digest is the SHA-256 of all rows in the order of their keys, in hexadecimal
	// digits.
	Digest string `json:"digest"`
}

// Plan says what Copy does otherwise than copying all rows.
type Plan struct {
	// Leave are tables whose rows are not copied.
	Leave []string
	// States replaces rows of job_states by name, before the copy counts.
	States map[string][]byte
	// Progress is told of each table that was copied and compared. Optional.
	Progress func(Sum)
	// Fence is the id of the fence that the source must have all the time; "" for none.
	Fence string
}

// Version is the number of the last migration of the schema.
func (d *Database) Version(ctx context.Context) (version int64, err error) {
	err = d.DB.QueryRowContext(ctx, "SELECT MAX(version_id) FROM goose_db_version WHERE is_applied").Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("reading the schema's version: %w", err)
	}
	return version, nil
}

// in runs f on one connection, in a transaction that begin opened: committed where
// commit is set and f returned nil.
func (d *Database) in(ctx context.Context, begin string, commit bool, f func(c *sql.Conn) error) error {
	return d.begin(ctx, begin, func(c *sql.Conn, done func() error) error {
		if err := f(c); err != nil || !commit {
			return err
		}
		return done()
	})
}

// begin runs f on one connection, in a transaction that begin opened and that commit
// commits. Without that, it is rolled back.
func (d *Database) begin(ctx context.Context, begin string, f func(c *sql.Conn, commit func() error) error) (err error) {
	c, err := d.DB.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connecting to the database: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := c.ExecContext(ctx, begin); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	committed := false
	err = f(c, func() error {
		if _, err := c.ExecContext(ctx, "COMMIT"); err != nil {
			return fmt.Errorf("committing: %w", err)
		}
		committed = true
		return nil
	})
	if committed {
		return err
	}
	// The connection is closed for good when this fails.
	if _, rerr := c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); rerr != nil {
		_ = c.Raw(func(any) error { return errBadConn })
	}
	return err
}

// Tables lists the tables, parents first.
func (d *Database) Tables(ctx context.Context) (tables []Table, err error) {
	err = d.in(ctx, d.Dialect.BeginRead, false, func(c *sql.Conn) error {
		tables, err = d.tables(ctx, c)
		return err
	})
	return tables, err
}

func (d *Database) tables(ctx context.Context, c *sql.Conn) ([]Table, error) {
	all, err := d.Dialect.Describe(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	for _, t := range all {
		if len(t.Key) == 0 {
			return nil, fmt.Errorf("table %s has no primary key", t.Name)
		}
	}
	slices.SortFunc(all, func(a, b Table) int { return strings.Compare(a.Name, b.Name) })
	return parentsFirst(all), nil
}

// parentsFirst puts each table after those it refers to.
func parentsFirst(all []Table) []Table {
	byName := map[string]Table{}
	for _, t := range all {
		byName[t.Name] = t
	}
	var sorted []Table
	done := map[string]bool{}
	var visit func(t Table)
	visit = func(t Table) {
		if done[t.Name] {
			return
		}
		done[t.Name] = true
		for _, p := range t.Parents {
			if parent, ok := byName[p]; ok {
				visit(parent)
			}
		}
		sorted = append(sorted, t)
	}
	for _, t := range all {
		visit(t)
	}
	return sorted
}

// Empty reports whether no table has a row, but for those of a schema that is new.
func (d *Database) Empty(ctx context.Context) (empty bool, err error) {
	err = d.in(ctx, d.Dialect.BeginRead, false, func(c *sql.Conn) error {
		full, err := d.full(ctx, c)
		empty = full == ""
		return err
	})
	return empty, err
}

// full is a table that has rows, "" for none.
func (d *Database) full(ctx context.Context, c *sql.Conn) (string, error) {
	tables, err := d.tables(ctx, c)
	if err != nil {
		return "", err
	}
	for _, t := range tables {
		var some int
		err := c.QueryRowContext(ctx, "SELECT 1 FROM "+t.Name+where(t)+" LIMIT 1").Scan(&some)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return "", fmt.Errorf("reading table %s: %w", t.Name, err)
		default:
			return t.Name, nil
		}
	}
	return "", nil
}

// Sums are what the tables have, in one moment.
func (d *Database) Sums(ctx context.Context) (sums []Sum, err error) {
	err = d.in(ctx, d.Dialect.BeginRead, false, func(c *sql.Conn) error {
		sums = nil
		tables, err := d.tables(ctx, c)
		if err != nil {
			return err
		}
		for _, t := range tables {
			s, err := sum(ctx, c, t)
			if err != nil {
				return err
			}
			sums = append(sums, s)
		}
		return nil
	})
	return sums, err
}

// Copy copies all rows of from to the empty database to. ErrNotEmpty, ErrLifted.
func Copy(ctx context.Context, from, to *Database, plan Plan) (sums []Sum, err error) {
	err = from.in(ctx, from.Dialect.BeginRead, false, func(source *sql.Conn) error {
		return to.begin(ctx, to.Dialect.BeginWrite, func(target *sql.Conn, commit func() error) error {
			if sums, err = copyAll(ctx, ends{from, to, source, target}, plan); err != nil {
				return err
			}
			if plan.Fence == "" {
				return commit()
			}
			// The source's snapshot would not see that the fence is gone. This transaction
			// does, and nothing can take it away before it ends, after the commit.
			return from.fencedAs(ctx, plan.Fence, commit)
		})
	})
	return sums, err
}

// ends are the connections of a copy.
type ends struct {
	from, to       *Database
	source, target *sql.Conn
}

func copyAll(ctx context.Context, e ends, plan Plan) (sums []Sum, err error) {
	full, err := e.to.full(ctx, e.target)
	if err != nil {
		return nil, err
	}
	if full != "" {
		return nil, fmt.Errorf("%w, in table %s: give one that no server was started on", ErrNotEmpty, full)
	}
	sources, err := e.from.tables(ctx, e.source)
	if err != nil {
		return nil, err
	}
	targets, err := e.to.tables(ctx, e.target)
	if err != nil {
		return nil, err
	}
	if err := same(sources, targets); err != nil {
		return nil, err
	}
	for _, t := range targets {
		if slices.Contains(plan.Leave, t.Name) {
			continue
		}
		s, err := copyTable(ctx, e, t, plan.States)
		if err != nil {
			return nil, fmt.Errorf("copying table %s: %w", t.Name, err)
		}
		sums = append(sums, s)
		if plan.Progress != nil {
			plan.Progress(s)
		}
	}
	return sums, nil
}

// same is an error where the schemas differ in more than the order of tables.
func same(a, b []Table) error {
	describe := func(t Table) string {
		var columns []string
		for _, c := range t.Columns {
			columns = append(columns, c.Name)
		}
		return t.Name + "(" + strings.Join(columns, ", ") + ")"
	}
	have := map[string]bool{}
	for _, t := range a {
		have[describe(t)] = true
	}
	for _, t := range b {
		if !have[describe(t)] {
			return fmt.Errorf("the source has no table %s: both databases need the schema of this version of kontor", describe(t))
		}
		delete(have, describe(t))
	}
	for t := range have {
		return fmt.Errorf("the destination has no table %s: both databases need the schema of this version of kontor", t)
	}
	return nil
}

func copyTable(ctx context.Context, e ends, t Table, states map[string][]byte) (Sum, error) {
	was := newSummer(t.Name)
	rows := func(yield func([]any, error) bool) {
		for row, err := range read(ctx, e.source, t) {
			if err == nil {
				replace(t, row, states)
				was.add(row)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
	if err := e.to.Dialect.Insert(ctx, e.target, t, rows); err != nil {
		return Sum{}, err
	}
	if t.Counter != "" {
		last, err := e.from.Dialect.Counter(ctx, e.source, t)
		if err == nil {
			err = e.to.Dialect.SetCounter(ctx, e.target, t, last)
		}
		if err != nil {
			return Sum{}, fmt.Errorf("copying the counter: %w", err)
		}
	}
	is, err := sum(ctx, e.target, t)
	if err != nil {
		return Sum{}, err
	}
	if want := was.sum(); is != want {
		return Sum{}, fmt.Errorf("the copy has %d rows with digest %s, and the source %d with %s", is.Rows, is.Digest, want.Rows, want.Digest)
	}
	return is, nil
}

// replace puts another state into a row of job_states.
func replace(t Table, row []any, states map[string][]byte) {
	if t.Name != "job_states" {
		return
	}
	at := func(name string) int {
		return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	}
	if name, ok := row[at("name")].(string); ok {
		if state, ok := states[name]; ok {
			row[at("state")] = state
		}
	}
}

// SchemaState is the row of job_states about the schema: each database has its own.
const SchemaState = "schema"

// where leaves out what is the database's own.
func where(t Table) string {
	if t.Name == "job_states" {
		return " WHERE name <> '" + SchemaState + "'"
	}
	return ""
}

// read yields the rows of a table in the order of its key.
func read(ctx context.Context, c *sql.Conn, t Table) iter.Seq2[[]any, error] {
	var columns []string
	for _, c := range t.Columns {
		columns = append(columns, c.Name)
	}
	text := "SELECT " + strings.Join(columns, ", ") + " FROM " + t.Name + where(t) + " ORDER BY " + strings.Join(t.Key, ", ")
	return func(yield func([]any, error) bool) {
		rows, err := c.QueryContext(ctx, text)
		if err != nil {
			yield(nil, err)
			return
		}
		enough := false
		values, pointers := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		for rows.Next() {
			if err = rows.Scan(pointers...); err == nil {
				err = normalize(t, values)
			}
			if err != nil {
				break
			}
			if enough = !yield(slices.Clone(values), nil); enough {
				break
			}
		}
		if err := errors.Join(err, rows.Err(), rows.Close()); err != nil && !enough { //nolint:sqlclosecheck // its error is told
			yield(nil, err)
		}
	}
}

// normalize makes values what both databases would give.
func normalize(t Table, row []any) error {
	for i, v := range row {
		ok := true
		switch x := v.(type) {
		case nil:
		case bool:
			row[i] = int64(0)
			if x {
				row[i] = int64(1)
			}
		case int64:
			ok = t.Columns[i].Kind == Integer || t.Columns[i].Kind == Bool
			if t.Columns[i].Kind == Real {
				row[i], ok = float64(x), true
			}
		case float64:
			ok = t.Columns[i].Kind == Real
		case string:
			ok = t.Columns[i].Kind == Text
		case []byte:
			switch t.Columns[i].Kind {
			case Text:
				row[i] = string(x)
			case Bytes:
				row[i] = slices.Clone(x)
				if x == nil {
					row[i] = []byte{}
				}
			default:
				ok = false
			}
		default:
			ok = false
		}
		if !ok {
			return fmt.Errorf("column %s has a value of type %T", t.Columns[i].Name, v)
		}
	}
	return nil
}

func sum(ctx context.Context, c *sql.Conn, t Table) (Sum, error) {
	s := newSummer(t.Name)
	for row, err := range read(ctx, c, t) {
		if err != nil {
			return Sum{}, fmt.Errorf("reading table %s: %w", t.Name, err)
		}
		s.add(row)
	}
	return s.sum(), nil
}

// summer makes a Sum.
type summer struct {
	table string
	rows  int64
	hash  hash.Hash
}

func newSummer(table string) *summer { return &summer{table: table, hash: sha256.New()} }

// add writes each value with its type and length, so that no two rows look alike.
func (s *summer) add(row []any) {
	s.rows++
	var head [9]byte
	for _, v := range row {
		var body []byte
		switch x := v.(type) {
		case nil:
			head[0] = 'n'
		case int64:
			head[0], body = 'i', binary.BigEndian.AppendUint64(nil, uint64(x))
		case float64:
			head[0], body = 'f', fmt.Append(nil, x)
		case string:
			head[0], body = 't', []byte(x)
		case []byte:
			head[0], body = 'b', x
		}
		binary.BigEndian.PutUint64(head[1:], uint64(len(body)))
		s.hash.Write(head[:])
		s.hash.Write(body)
	}
	s.hash.Write([]byte{'.'})
}

func (s *summer) sum() Sum {
	return Sum{Table: s.table, Rows: s.rows, Digest: hex.EncodeToString(s.hash.Sum(nil))}
}
