-- Which transaction wrote the row of `store_identity`: its own `xmin`. A dump that is restored into the very database it was taken from has the same server,
-- database and timeline, but whatever puts the row back is another transaction, and by that hubs see that offsets may be given out again.
ALTER TABLE store_identity ADD COLUMN written xid;

UPDATE store_identity SET written = pg_current_xact_id()::xid;
