-- Makes a database one of version 2, which has no checksums: the next start gives each row its own. So a test or a script
-- can write rows with SQLite's shell.
ALTER TABLE locks DROP COLUMN checksum;
ALTER TABLE accounts DROP COLUMN checksum;
ALTER TABLE tokens DROP COLUMN checksum;
ALTER TABLE meta DROP COLUMN checksum;
ALTER TABLE meta DROP COLUMN locks_sum;
ALTER TABLE meta DROP COLUMN accounts_sum;
ALTER TABLE meta DROP COLUMN tokens_sum;
PRAGMA user_version = 2;
