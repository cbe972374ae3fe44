-- Stamps say whether what a process remembers is still so: one for the identities, one
-- for the settings of repositories and registries. Each change draws a new one, which
-- was never there before, also not in the backup of a database. Triggers draw it, so
-- that changes by older processes and by hand count, too.

-- +goose Up
-- Transactions of older processes that are under way end first: their snapshots are from
-- before the stamps.
LOCK TABLE update_gate IN EXCLUSIVE MODE;

CREATE TABLE stamps (
    area TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    stamp UUID NOT NULL
);
INSERT INTO stamps VALUES ('identities', gen_random_uuid()), ('settings', gen_random_uuid());

-- +goose StatementBegin
CREATE FUNCTION draw_stamp() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE stamps SET stamp = gen_random_uuid() WHERE area = TG_ARGV[0];
    IF NOT FOUND THEN -- the snapshot is from before the stamps: run again, it draws one
        RAISE EXCEPTION 'stamps not visible' USING ERRCODE = '40001';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER stamp_users AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON users EXECUTE FUNCTION draw_stamp('identities');
CREATE TRIGGER stamp_roles AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON roles EXECUTE FUNCTION draw_stamp('identities');
CREATE TRIGGER stamp_policies AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON managed_policies EXECUTE FUNCTION draw_stamp('identities');
CREATE TRIGGER stamp_issuers AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON issuers EXECUTE FUNCTION draw_stamp('identities');
CREATE TRIGGER stamp_token_keys AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON token_keys EXECUTE FUNCTION draw_stamp('identities');
-- When a key was used last lets no one in and keeps no one out.
CREATE TRIGGER stamp_access_keys AFTER INSERT OR UPDATE OF id, user_id, sealed, active, created_at OR DELETE OR TRUNCATE ON access_keys
    EXECUTE FUNCTION draw_stamp('identities');
CREATE TRIGGER stamp_repositories AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON repositories EXECUTE FUNCTION draw_stamp('settings');
CREATE TRIGGER stamp_registries AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON registries EXECUTE FUNCTION draw_stamp('settings');
