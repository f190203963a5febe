-- Runs that were recorded after they had ended, such as by `tasklight import`: when the hub took what they did says nothing about them, so no silence
-- or duration is derived from it.
ALTER TABLE invocations ADD COLUMN backfilled INTEGER NOT NULL DEFAULT 0 CHECK (backfilled IN (0, 1));
